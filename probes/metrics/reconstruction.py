"""Reconstruction and sparsity of a level on held-out rows, each metric named with its convention."""

from __future__ import annotations

import torch
from torch import Tensor

from probes.activations.rows import shard_rows
from probes.activations.store import ActivationStore, Split
from probes.hierarchy.probe import Level
from probes.metrics.metric import Metric, measured

RARE_FREQUENCY = 1e-4


class Moments:
    """Streamed sums for the conventions of explained variance (float64)."""

    def __init__(self, d: int, n: int) -> None:
        self.rows = 0
        self.x_sum, self.x_square = torch.zeros(d, dtype=torch.float64), torch.zeros(d, dtype=torch.float64)
        self.error_square = torch.zeros(d, dtype=torch.float64)
        self.active, self.fired = 0, torch.zeros(n, dtype=torch.float64)

    def add(self, x: Tensor, decoded: Tensor, index: Tensor, value: Tensor) -> None:
        x64 = x.double()
        self.rows += len(x)
        self.x_sum += x64.sum(dim=0)
        self.x_square += x64.square().sum(dim=0)
        self.error_square += (x64 - decoded.double()).square().sum(dim=0)
        on = value != 0
        self.active += int(on.sum())
        self.fired += torch.bincount(index[on], minlength=len(self.fired))

    def variance(self) -> Tensor:
        """Summed squared distance to the mean, per dimension."""
        return self.x_square - self.x_sum.square() / self.rows

    def figures(self) -> dict[str, float]:
        """Every metric that reads moments, by its registered name, and the number of rows."""
        return {"rows": float(self.rows), **measured(self, "moments")}


EXPLAINED_VARIANCE = Metric(
    lambda seen: float(1 - seen.error_square.sum() / seen.variance().sum()), "moments", "centred", "up", high=1
)
EXPLAINED_PER_DIMENSION = Metric(
    lambda seen: float((1 - seen.error_square / seen.variance().clamp_min(1e-12)).mean()),
    "moments",
    "mean over dimensions",
    "up",
    high=1,
)
EXPLAINED_UNCENTRED = Metric(
    lambda seen: float(1 - seen.error_square.sum() / seen.x_square.sum()), "moments", "uncentred", "up", high=1
)
L0 = Metric(lambda seen: seen.active / seen.rows, "moments", "active latents per row, by threshold", low=0)
DEAD = Metric(lambda seen: float((seen.fired == 0).double().mean()), "moments", "share that never fired", "down", 0, 1)
RARE = Metric(
    lambda seen: float((seen.fired / seen.rows < RARE_FREQUENCY).double().mean()),
    "moments",
    "share with frequency below 1e-4",
    "down",
    0,
    1,
)


def held_out_figures(
    store: ActivationStore, level: Level, *, split: Split = "held_out", max_rows: int | None = None
) -> dict[str, float]:
    """Metrics of a level, encoding as at inference (by threshold), over usable rows of a split."""
    moments = Moments(level.space.w_dec.shape[1], level.space.n_latents)
    for shard in store.shards(split):
        if max_rows is not None and moments.rows >= max_rows:
            break
        x, usable = shard_rows(store, shard, level.record.point.point, level.rows)
        rows = x[usable].float()
        codes = level.space.encode(rows)
        moments.add(rows, level.space.reconstruct(rows, codes), codes.index, codes.value)
    return moments.figures()
