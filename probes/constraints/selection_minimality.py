"""Constraint: few latents are active, and higher ones are selected by few lower ones."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from probes.configs import Frozen
from probes.parts.gates import mean_gates, open_probability, sample_gates
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented
from probes.representations.spec import Spec
from probes.training.objective import Terms
from probes.training.randomness import generator

PACE = 10.0  # of gates beside other parameters: at the pace of a network's weights none closes within a training
LEAST = 1e-3  # of a row's length, in units of latents: a row in which nothing is active is not the sparsest of all


class SelectionMinimalityConfig(Frozen):
    """How many latents are higher ones, and what is minimal."""

    higher: float = Field(
        default=0.25, description="Share of latents, the last ones, that lower ones select.", gt=0, lt=1
    )
    activity: float = Field(default=0.1, description="Weight of how many latents are active.", ge=0)
    edges: float = Field(default=0.05, description="Weight of open gates per higher latent.", ge=0)


class Selecting(nn.Module):
    """Gates, weights and thresholds from lower latents to higher ones."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.slow = nn.Parameter(torch.full((high, low), 1.0 / PACE))
        self.raw = nn.Parameter(torch.full((high, low), -1.0))
        self.theta = nn.Parameter(torch.zeros(high))

    @property
    def log_alpha(self) -> Tensor:
        """Of the gates, `high low`."""
        return PACE * self.slow

    def forward(self, low: Tensor, gates: Tensor) -> Tensor:
        """`row low`, none negative, to `row high`."""
        return (low @ (gates * functional.softplus(self.raw)).T - self.theta).relu()


class SelectionMinimality(LatentConstraint):
    """Σ of the share of higher latents' variance that is not what gated lower ones select; of ‖z‖₁ / ‖z‖₂ over √n;
    and of open gates per higher latent (DESIGN section 5, over one encoder).

    Tasks read latents without their negative part, and so do the penalties, in units of their size: what is
    constrained is what has to carry the task. (While tasks read the sign as well, shifting all latents far below zero
    met everything at no cost.) Lower ones select without a gradient, so that only the higher give way. A higher latent
    that never changes is selected by nothing and counts like one of which nothing is explained; to bring it back, a
    latent that is active in no row of a batch passes the task's gradient on as if it were.
    """

    Config = SelectionMinimalityConfig
    config: SelectionMinimalityConfig
    key = "selection_minimality"
    holds = True

    def higher(self, spec: Spec) -> int:
        """How many latents are selected."""
        return min(spec.latents - 1, max(1, math.ceil(self.config.higher * spec.latents - 1e-9)))

    def own(self, spec: Spec) -> nn.Module:
        high = self.higher(spec)
        return Selecting(spec.latents - high, high)

    def refuses(self, spec: Spec) -> str:
        return "" if spec.latents > 1 else "one latent has no levels: raise latents"

    def codes(self, mean: Tensor) -> Tensor:
        return _positive(mean)

    def impose(self, rep: LatentModel, seen: Represented) -> Represented:
        done = {name: replace(view, mean=_positive(view.mean), z=_positive(view.z)) for name, view in seen.each()}
        return replace(done["x"], second=done.get("second"), past=done.get("past"), codes=self.codes)

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        selecting = rep.prior(self.key)
        uniform = torch.rand(selecting.log_alpha.shape, generator=generator(seen.draw[0], "gates", seen.draw[1]))
        gates = sample_gates(selecting.log_alpha, uniform.clamp(1e-6, 1 - 1e-6).to(seen.z))
        codes = _codes(seen.z)
        opened = open_probability(selecting.log_alpha).sum(dim=1).mean() / selecting.log_alpha.shape[1]
        return {
            "selection": self._missed(rep, codes, gates).mean(),
            "activity": self.config.activity * _activity(codes),
            "edges": self.config.edges * opened,
        }

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """Variance of higher latents that lower ones explain, none of those that never change; active latents (as if
        evenly); edges per higher latent; shares of all latents, and of the higher ones, that never change."""
        selecting, codes = rep.prior(self.key), _codes(seen.mean)
        gates = mean_gates(selecting.log_alpha)
        weights = gates * functional.softplus(selecting.raw)
        active = codes.sum(dim=1).square() / codes.square().sum(dim=1).clamp_min(1e-12)
        dead = _still(codes).float()
        return {
            "selected": 1 - float(self._missed(rep, codes, gates).mean()),
            "active": float(active.mean()),
            "edges_per_target": float((weights > 0.02).sum(dim=1).float().mean()),
            "dead": float(dead.mean()),
            "dead_higher": float(dead[-self.higher(rep.spec) :].mean()),
        }

    def _missed(self, rep: LatentModel, codes: Tensor, gates: Tensor) -> Tensor:
        """Share of each higher latent's variance that is not selected, `latent`; of one that never changes all of it,
        and whatever is selected in vain."""
        first = codes.shape[1] - self.higher(rep.spec)
        still = _still(codes[:, first:])
        wanted = codes[:, first:] / torch.where(still, 1.0, codes[:, first:].var(dim=0)).sqrt()
        found = rep.prior(self.key)(codes[:, :first].detach(), gates)
        return (wanted - found).var(dim=0) + still


def _positive(z: Tensor) -> Tensor:
    """`… latent` without the negative part; the slope of a latent that is nowhere positive is that of the whole."""
    silent = ~(z.detach() > 0).flatten(0, -2).any(dim=0)
    return z.relu() + torch.where(silent, z - z.detach(), 0.0)


def _codes(z: Tensor) -> Tensor:
    """Latents without their negative part, in units of their root mean square; zero where they never change.

    Not of their deviation: one that is large and hardly changes would be all there is in a row, which then looks like a
    row of one active latent. The unit has a slope: were it held fixed, all would shrink for ever.
    """
    active = z.relu()
    size = active.square().mean(dim=0)
    still = active.detach().var(dim=0) <= 1e-12 * size.detach()
    return torch.where(still, 0.0, active / torch.where(still, 1.0, size).sqrt())


def _still(codes: Tensor) -> Tensor:
    """Which latents never change, `latent`."""
    return ~codes.detach().any(dim=0)


def _activity(codes: Tensor) -> Tensor:
    """‖z‖₁ / (‖z‖₂ √n), mean over rows: 1 / √n where one latent is active, 1 where all are alike or none is."""
    root = codes.shape[1] ** 0.5
    length = (codes.square().sum(dim=1) + LEAST**2).sqrt()
    return ((codes.sum(dim=1) + LEAST * root) / (length * root)).mean()
