"""Constraint: few active latents, counted. Trains the thresholds of a JumpReLU autoencoder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.losses import relative_l0, tanh_l0
from probes.autoencoders.straight_through import step
from probes.configs import Frozen
from probes.training.objective import Part, Terms


class ActiveCountConfig(Frozen):
    """How active latents are counted, and how many are wanted."""

    penalty: Literal["quadratic", "step", "tanh"] = Field(
        default="quadratic", description="Distance of the count to the target, the count itself, or a smooth count."
    )
    target: float = Field(default=32.0, description="Active latents per row aimed at, the unit of a count.", gt=0)
    each_row: bool = Field(default=False, description="Aim at the target in every row, not on average.")
    bandwidth: float = Field(default=0.1, description="Width of the band that moves a threshold.", gt=0)
    tanh_scale: float = Field(default=4.0, description="Steepness of the smooth count.", gt=0)


class ActiveCount(Part):
    """The number of active latents per row, straight through the step that a threshold is.

    A count is taken in units of the target, so that a price is what that many active latents cost, as a share
    of the variance that the error is measured in.
    """

    Config = ActiveCountConfig
    config: ActiveCountConfig
    on: str = "jumprelu"
    given: frozenset[str] = frozenset()
    holds = True

    def penalty(self, rep: TrainableAutoencoder, seen: Encoded) -> Terms:
        said = self.config
        if said.penalty == "tanh":
            return {"sparsity": tanh_l0(seen.value, rep.decoder_norms(), said.tanh_scale) / said.target}
        assert seen.pre is not None
        l0 = step(seen.pre, rep.thresholds(), said.bandwidth).sum(dim=-1)
        if said.penalty == "step":
            return {"sparsity": l0.mean() / said.target}
        return {"sparsity": relative_l0(l0, said.target, each_row=said.each_row)}

    def certify(self, rep: TrainableAutoencoder, seen: Encoded) -> dict[str, float]:
        """Mean and largest number of active latents per row, and the number that was asked for."""
        l0 = seen.l0()
        return {"l0_mean": float(l0.float().mean()), "l0_max": float(l0.max()), "k": self.config.target}
