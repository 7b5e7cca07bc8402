"""Constraint: few latents are active, and higher ones are selected by few lower ones."""

from __future__ import annotations

import math

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
        self.log_alpha, self.raw = nn.Parameter(torch.ones(high, low)), nn.Parameter(torch.full((high, low), -1.0))
        self.theta = nn.Parameter(torch.zeros(high))

    def forward(self, low: Tensor, gates: Tensor) -> Tensor:
        """`row low`, none negative, to `row high`."""
        return (low @ (gates * functional.softplus(self.raw)).T - self.theta).relu()


class SelectionMinimality(LatentConstraint):
    """Σ of how far higher latents are from what gated lower ones select, over their variance; of ‖z‖₁ / ‖z‖₂ over √n;
    and of open gates per higher latent (DESIGN section 5, over one encoder). Latents are taken without their negative
    part, in units of their deviation; the lower ones without a gradient, so that only the higher give way."""

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

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        selecting = rep.prior(self.key)
        uniform = torch.rand(selecting.log_alpha.shape, generator=generator(seen.draw[0], "gates", seen.draw[1]))
        gates = sample_gates(selecting.log_alpha, uniform.clamp(1e-6, 1 - 1e-6).to(seen.z))
        codes = _codes(seen.z)
        opened = open_probability(selecting.log_alpha).sum(dim=1).mean() / selecting.log_alpha.shape[1]
        return {
            "selection": self._missed(rep, codes, gates),
            "activity": self.config.activity * _activity(codes),
            "edges": self.config.edges * opened,
        }

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """Variance of higher latents that lower ones explain, active latents (as if evenly), edges per higher one."""
        selecting, codes = rep.prior(self.key), _codes(seen.mean)
        gates = mean_gates(selecting.log_alpha)
        weights = gates * functional.softplus(selecting.raw)
        active = codes.sum(dim=1).square() / codes.square().sum(dim=1).clamp_min(1e-12)
        return {
            "selected": 1 - float(self._missed(rep, codes, gates)),
            "active": float(active.mean()),
            "edges_per_target": float((weights > 0.02).sum(dim=1).float().mean()),
        }

    def _missed(self, rep: LatentModel, codes: Tensor, gates: Tensor) -> Tensor:
        first = codes.shape[1] - self.higher(rep.spec)
        wanted = codes[:, first:]
        found = rep.prior(self.key)(codes[:, :first].detach(), gates)
        variance = wanted.var(dim=0).detach().clamp_min(1e-6)
        return ((wanted - found).square() / variance).mean()


def _codes(z: Tensor) -> Tensor:
    return z.relu() / z.detach().std(dim=0).clamp_min(1e-6)


def _activity(codes: Tensor) -> Tensor:
    """‖z‖₁ / (‖z‖₂ √n), mean over rows: 1 / √n where one latent is active, 1 where all are alike."""
    length = (codes.square().sum(dim=1) + 1e-6).sqrt()
    return (codes.sum(dim=1) / length).mean() / codes.shape[1] ** 0.5
