"""How much of the activations a dictionary rebuilds, each figure named with its convention.

"Explained variance" has meant five different numbers in public tools; the default here is centred and a
ratio of sums. Sources: formulas of SAELens (now and before 2026), dictionary_learning, sparsify, OpenAI.
"""

from __future__ import annotations

import torch
from torch import Tensor

from probes.activations.rows import shard_pairs
from probes.activations.store import ActivationStore, Split
from probes.hierarchy.probe import Level
from probes.metrics.metric import Metric
from probes.metrics.moments import Moments

EXPLAINED_VARIANCE = Metric(
    lambda seen: float(1 - seen.error_square.sum() / seen.variance.sum()), "moments", "centred", "up", high=1
)
EXPLAINED_PER_ROW = Metric(
    lambda seen: 1 - seen.row_shares / seen.rows, "moments", "centred, mean of the rows' shares", "up", high=1
)
EXPLAINED_DEVIATION = Metric(
    # Σ_d var(e_d) / Σ_d var(x_d): the mean error is not counted.
    lambda seen: float(1 - (seen.error_square - seen.error.square() / seen.rows).sum() / seen.variance.sum()),
    "moments",
    "centred, the mean error forgiven",
    "up",
    high=1,
)
EXPLAINED_PER_DIMENSION = Metric(
    lambda seen: float((1 - seen.error_square / seen.variance.clamp_min(1e-12)).mean()),
    "moments",
    "mean over dimensions",
    "up",
    high=1,
)
EXPLAINED_UNCENTRED = Metric(
    lambda seen: float(1 - seen.error_square.sum() / seen.x_square.sum()), "moments", "uncentred", "up", high=1
)
UNEXPLAINED = Metric(
    lambda seen: float(seen.error_square.sum() / seen.variance.sum()), "moments", "share of the variance", "down", low=0
)
ROW_ERROR = Metric(
    lambda seen: seen.row_shares_raw / seen.rows, "moments", "uncentred, mean of the rows' shares", "down", low=0
)
RELATIVE_BIAS = Metric(
    # mean ‖x̂‖² / mean ⟨x, x̂⟩: 1 without shrinkage, and neither side of it is better.
    lambda seen: seen.decoded_square / seen.product if seen.product else 0.0,
    "moments",
    "1 is unbiased, less is shrunk",
)
LENGTH_KEPT = Metric(lambda seen: seen.lengths / seen.rows, "moments", "mean ‖x̂‖ / ‖x‖", low=0)


def held_out_figures(
    store: ActivationStore, level: Level, *, split: Split = "held_out", max_rows: int | None = None
) -> dict[str, float]:
    """Metrics of a level, encoding as at inference (by threshold), over usable rows of a split.

    A dictionary that writes at another place than it reads is measured against what is there.
    """
    moments = Moments(_mean_target(store, level, split, max_rows), level.space.n_latents)
    for shard in _shards_until(store, level, split, max_rows):
        x, target, usable = shard_pairs(store, shard, level.places, level.rows)
        rows = x[usable].float()
        codes = level.space.encode(rows)
        moments.add(target[usable].float(), level.space.reconstruct(rows, codes), codes.index, codes.value)
    return moments.figures()


def _mean_target(store: ActivationStore, level: Level, split: Split, max_rows: int | None) -> Tensor:
    """The mean of what is to be rebuilt, `d` float64."""
    total, count = torch.zeros(level.space.w_dec.shape[1], dtype=torch.float64), 0
    for shard in _shards_until(store, level, split, max_rows):
        _, target, usable = shard_pairs(store, shard, level.places, level.rows)
        total, count = total + target[usable].double().sum(dim=0), count + int(usable.sum())
    return total / max(count, 1)


def _shards_until(store: ActivationStore, level: Level, split: Split, max_rows: int | None) -> list[int]:
    """The first shards that together have `max_rows` usable rows; all of them without a limit."""
    chosen, rows = [], 0
    for shard in store.shards(split):
        if max_rows is not None and rows >= max_rows:
            break
        chosen.append(shard)
        if max_rows is not None:
            rows += int(shard_pairs(store, shard, level.places, level.rows)[2].sum())
    return chosen
