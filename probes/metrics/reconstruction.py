"""Reconstruction and sparsity of a level on held-out rows, each metric named with its convention."""

from __future__ import annotations

import torch
from torch import Tensor

from probes.activations.rows import shard_rows
from probes.activations.store import ActivationStore, Split
from probes.hierarchy.probe import Level

RARE = 1e-4


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

    def figures(self) -> dict[str, float]:
        """explained_variance: 1 − Σ‖x − x̂‖² / Σ‖x − x̄‖². _per_dimension: the mean over dimensions of the
        same ratio. _uncentred: against Σ‖x‖². l0: active latents per row. dead: never fired here.
        rare: frequency below 1e-4."""
        variance = self.x_square - self.x_sum.square() / self.rows
        frequency = self.fired / self.rows
        return {
            "rows": float(self.rows),
            "explained_variance": float(1 - self.error_square.sum() / variance.sum()),
            "explained_variance_per_dimension": float(
                (1 - self.error_square / variance.clamp_min(1e-12)).mean()
            ),
            "explained_variance_uncentred": float(1 - self.error_square.sum() / self.x_square.sum()),
            "l0": self.active / self.rows,
            "dead": float((self.fired == 0).double().mean()),
            "rare": float((frequency < RARE).double().mean()),
        }


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
        moments.add(rows, level.space.decode(codes), codes.index, codes.value)
    return moments.figures()
