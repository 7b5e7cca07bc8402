"""Constraint: few latents of the past, and few of the present, enter the mechanism of a latent."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

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
    kinds of influence: how many deviations of its noise a latent's mechanism moves by where a source moves by one of
    its own (IDOL, free of scale: the prior does not tell latents from the same ones in other units)."""

    Config = TemporalSparsityConfig
    config: TemporalSparsityConfig
    key = "temporal_sparsity"
    instantaneous = True

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        present, past = self._influences(rep, as_samples(seen))
        pairs = max(1, present.numel() - present.shape[0] * present.shape[1])
        others = present.abs().sum() - present.diagonal(dim1=1, dim2=2).abs().sum()
        influence = {"past": self.config.past * past.abs().mean(), "present": self.config.present * others / pairs}
        return super().penalty(rep, seen) | influence

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """What the temporal prior says, and the shares of influences that are under a tenth of the largest."""
        present, past = self._influences(rep, seen)
        sizes = {"past": past.abs().mean(dim=0), "present": present.abs().mean(dim=0).fill_diagonal_(0)}
        absent = {f"absent_{name}": float((size < 0.1 * size.max()).float().mean()) for name, size in sizes.items()}
        return super().certify(rep, seen) | absent

    def _influences(self, rep: LatentModel, seen: Represented) -> tuple[Tensor, Tensor]:
        """Of the present `row latent latent` and of the past `row latent lag·latent`, in deviations of noise and
        source.

        The deviations have slopes like all else: were they held fixed, latents would grow and mechanisms shrink for
        ever, each step seeming to make influences less.
        """
        assert seen.past is not None
        noise, by_now, by_past = self._noise(rep, seen)
        unit = _deviation(noise)[:, None]
        return by_now * _deviation(seen.z) / unit, by_past * _deviation(seen.past.z.flatten(1)) / unit


def _deviation(values: Tensor) -> Tensor:
    """Of each column of `row column`."""
    return values.var(dim=0).clamp_min(1e-24).sqrt()
