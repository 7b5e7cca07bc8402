"""Constraint: few latents of the past, and few of the present, enter the mechanism of a latent."""

from __future__ import annotations

import torch
from pydantic import Field

from probes.configs import Frozen
from probes.constraints.temporal_prior import TemporalPrior
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented, as_samples
from probes.training.objective import Terms


class TemporalSparsityConfig(Frozen):
    """How influences are weighed, beside the prior itself."""

    past: float = Field(default=0.05, description="Weight of influences of the past, per pair of latents.", ge=0)
    present: float = Field(default=0.06, description="Weight of influences within the present.", ge=0)


class TemporalSparsity(TemporalPrior):
    """The temporal prior with mechanisms that also read the other latents of the present, and the mean size of both
    kinds of influence, in units of the noise (IDOL)."""

    Config = TemporalSparsityConfig
    config: TemporalSparsityConfig
    key = "temporal_sparsity"
    instantaneous = True

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        _, by_now, by_past = self._noise(rep, as_samples(seen))
        own = by_now.diagonal(dim1=1, dim2=2).abs().sum()
        pairs = max(1, by_now.numel() - by_now.shape[0] * by_now.shape[1])
        influence = {
            "past": self.config.past * by_past.abs().mean(),
            "present": self.config.present * (by_now.abs().sum() - own) / pairs,
        }
        return super().penalty(rep, seen) | influence

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """What the temporal prior says, and the shares of influences that are under a tenth of the largest."""
        _, by_now, by_past = self._noise(rep, seen)
        sizes = {"past": by_past.abs().mean(dim=0), "present": by_now.abs().mean(dim=0).fill_diagonal_(0)}
        absent = {f"absent_{name}": float((size < 0.1 * size.max()).float().mean()) for name, size in sizes.items()}
        return super().certify(rep, seen) | absent
