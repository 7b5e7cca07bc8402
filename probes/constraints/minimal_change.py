"""Constraint: between two views of which little changed, few latents change."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from probes.configs import Frozen
from probes.parts.independence import gaussian_dependence
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented
from probes.training.objective import Terms

DRAWN_IN = 1e-4  # of correlations towards none: what latents share stays finite where two are the same
LEAST = 1e-4  # added to a squared change: a pair without any counts for nothing


class MinimalChangeConfig(Frozen):
    """How a change is measured."""

    form: Literal["sum", "spread"] = Field(
        default="sum",
        description="All of the change, which saying less makes small too; or only over how many latents it lies.",
    )


class MinimalChange(LatentConstraint):
    """mean |μ_i(x) − μ_i(x')| over sparse pairs, over the same of unrelated rows, mean over latents, and what latents
    share, −log det R / 2 per latent of the correlations R among their differences of unrelated rows; or, per pair, the
    sum of changes over the root of their squares.

    Divided by what unrelated rows differ by, no latent gains by shrinking. A deviation would serve less well: a latent
    that a few rows drive far out has a large one and hardly any change, and training finds that. Without the second
    term it finds another way: all latents say the same of one factor, which changes as seldom as any, and the rest is
    told by small deviations from it (on pictures of 8 factors latents correlated by .97, MCC .32 for .55).
    """

    Config = MinimalChangeConfig
    config: MinimalChangeConfig
    key = "minimal_change"
    symmetries = frozenset({"permutation", "sign", "scale"})
    given = frozenset({"changed"})
    encodes = frozenset({"second"})

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        change, unrelated = _changes(seen)
        if self.config.form == "spread":
            return {"change": spread_of_change(change)}
        shared = gaussian_dependence(unrelated, DRAWN_IN) / unrelated.shape[1]
        return {"change": change.abs().mean(), "shared": shared}

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """How many latents carry a change, as if evenly: (Σ|d|)² / Σd², mean over pairs."""
        change, _ = _changes(seen)
        of = change.abs().sum(dim=1).square() / change.square().sum(dim=1).clamp_min(1e-12)
        return {"latents_that_change": float(of.mean())}


def _changes(seen: Represented) -> tuple[Tensor, Tensor]:
    """Differences of the pairs, `pair latent`, and of rows that have nothing to do with each other, both in units of
    the mean size of the latter for each latent."""
    assert seen.second is not None
    unrelated = seen.mean - seen.mean.roll(1, dims=0)
    unit = unrelated.abs().mean(dim=0).clamp_min(1e-6)
    return (seen.mean - seen.second.mean) / unit, unrelated / unit


def spread_of_change(change: Tensor) -> Tensor:
    """Mean ‖d‖₁ / ‖d‖₂ of `pair latent`: 1 where one latent carries a change, √latents where all do."""
    return (change.abs().sum(dim=1) / (change.square().sum(dim=1) + LEAST).sqrt()).mean()
