"""Selection maps: gated, non-negative maps from the pooled codes of one level to those of the next.

f(z)_j = ReLU(Σ_i g_ji softplus(w_ji) z_i − θ_j), one row of candidates per target. Codes are divided by
their typical activation on both sides, so weights of different pairs can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from probes.parts.gates import mean_gates, open_probability, sample_gates
from probes.training.objective import Batch
from probes.training.randomness import generator


class Selected(NamedTuple):
    """`predicted` and `target`: `row target`; `open`: `target candidate` probability of an open gate."""

    predicted: Tensor
    target: Tensor
    open: Tensor


class GatedMap(nn.Module):
    """The trainable map for a block of targets; `candidates`: `target candidate` source indices."""

    def __init__(self, candidates: Tensor, target_variance: Tensor, *, seed: int) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.full(candidates.shape, 1.0))
        self.raw_weight = nn.Parameter(torch.full(candidates.shape, -2.0))
        self.theta = nn.Parameter(torch.zeros(len(candidates)))
        self.candidates: Tensor
        self.target_variance: Tensor
        self.register_buffer("candidates", candidates)
        self.register_buffer("target_variance", target_variance)
        self.seed = seed

    def represent(self, batch: Batch) -> Selected:
        """`batch["low"]`: `row n_low` dense codes; `batch["high"]`: `row target`; `batch["step"]`: scalar."""
        uniform = torch.rand(self.log_alpha.shape, generator=generator(self.seed, "gates", int(batch["step"])))
        gates = sample_gates(self.log_alpha, uniform.clamp(1e-6, 1 - 1e-6))
        predicted = self.predict(batch["low"], gates)
        return Selected(predicted, batch["high"], open_probability(self.log_alpha))

    def predict(self, low: Tensor, gates: Tensor | None = None) -> Tensor:
        """`row n_low` to `row target`."""
        gates = mean_gates(self.log_alpha) if gates is None else gates
        weights = gates * F.softplus(self.raw_weight)
        # One dense product beats gathering `row target candidate` parents several times over.
        dense = weights.new_zeros(low.shape[1], len(weights)).scatter(0, self.candidates.T, weights.T)
        return (low @ dense - self.theta).relu()

    @torch.no_grad()
    def weights(self) -> Tensor:
        """Effective weights after training, `target candidate`."""
        return mean_gates(self.log_alpha) * F.softplus(self.raw_weight)


@dataclass(frozen=True)
class SelectionMap:
    """A fitted map between two levels as a sparse table: one row per proposed edge.

    `source`, `target`: `edge`; `weight`: `edge`; `frequency`: `edge`, share of bootstrap fits that keep
    it; `correlation`: `edge`; `r2`: `n_high` held-out R² per target (NaN-free; −1 where not fitted).
    """

    low: str
    high: str
    source: Tensor
    target: Tensor
    weight: Tensor
    frequency: Tensor
    correlation: Tensor
    r2: Tensor

    def tensors(self) -> dict[str, Tensor]:
        names = ("source", "target", "weight", "frequency", "correlation", "r2")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_tensors(cls, low: str, high: str, tensors: Mapping[str, Tensor]) -> SelectionMap:
        names = ("source", "target", "weight", "frequency", "correlation", "r2")
        return cls(low, high, *(tensors[name] for name in names))


def keep_rule(weights: Tensor, row_share: float = 0.3, floor: float = 0.02) -> Tensor:
    """Which weights `target candidate` count as edges: above `floor` and `row_share` of the row's largest."""
    return (weights > floor) & (weights >= row_share * weights.amax(dim=1, keepdim=True))
