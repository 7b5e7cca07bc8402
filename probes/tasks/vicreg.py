"""Task: two views are close, while every column stays alive and unlike the others."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from probes.parts.contrast import vicreg
from probes.tasks.two_views import TwoViews, TwoViewsConfig


class VICRegConfig(TwoViewsConfig):
    """Weights of the three terms, relative to each other."""

    invariance: float = Field(default=25.0, description="Weight of the distance between views.", gt=0)
    variance: float = Field(default=25.0, description="Weight of columns that vary too little.", ge=0)
    covariance: float = Field(default=1.0, description="Weight of the covariances between columns.", ge=0)


class VICReg(TwoViews):
    """VICReg, in units of its invariance."""

    Config = VICRegConfig
    config: VICRegConfig
    key = "vicreg"

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        said = self.config
        return vicreg(first, second, said.invariance, said.variance, said.covariance) / said.invariance
