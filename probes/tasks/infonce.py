"""Task: tell the other view of a row from all other rows."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from probes.parts.contrast import info_nce
from probes.tasks.two_views import TwoViews, TwoViewsConfig


class InfoNCEConfig(TwoViewsConfig):
    """How views are told apart."""

    temperature: float = Field(default=0.2, description="What cosines are divided by.", gt=0, le=10)


class InfoNCE(TwoViews):
    """SimCLR's contrast: cosines over a temperature, all other rows of both views as negatives."""

    Config = InfoNCEConfig
    config: InfoNCEConfig
    key = "infonce"

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        return info_nce(first, second, self.config.temperature)
