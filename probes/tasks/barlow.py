"""Task: two views agree in every column, and no two columns say the same."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from probes.parts.contrast import barlow
from probes.tasks.two_views import TwoViews, TwoViewsConfig


class BarlowConfig(TwoViewsConfig):
    """How columns are compared."""

    redundancy: float = Field(default=0.0051, description="Weight of the correlations between columns.", ge=0, le=10)


class Barlow(TwoViews):
    """Barlow Twins, per column."""

    Config = BarlowConfig
    config: BarlowConfig
    key = "barlow"

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        return barlow(first, second, self.config.redundancy) / first.shape[1]
