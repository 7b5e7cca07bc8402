"""The one interval function: paired bootstrap over items within seeds, then over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000


class Interval(NamedTuple):
    """A statistic with its 95 % percentile bootstrap interval; `n` items in `seeds` seeds."""

    value: float
    low: float
    high: float
    n: int
    seeds: int


def bootstrap(
    per_seed: Sequence[ArrayLike],
    statistic: Callable[[NDArray[np.float64]], float] = lambda items: float(np.mean(items)),
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Bootstrap a statistic of items, averaged over seeds.

    `per_seed`: one array `item …` per seed; rows are resampled whole, so paired columns stay paired.
    With one seed only items are resampled. Raises `ValueError` when a seed has no items.
    """
    data = [np.asarray(items, dtype=np.float64) for items in per_seed]
    if not data or any(len(items) == 0 for items in data):
        raise ValueError("an interval needs at least one item in every seed")
    random = np.random.default_rng(seed)
    draws = np.empty(RESAMPLES)
    for draw in range(RESAMPLES):
        chosen = random.integers(len(data), size=len(data)) if len(data) > 1 else [0]
        draws[draw] = np.mean([statistic(data[s][random.integers(len(data[s]), size=len(data[s]))]) for s in chosen])
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    value = float(np.mean([statistic(items) for items in data]))
    return Interval(value, float(low), float(high), sum(map(len, data)), len(data))


def bootstrap_means(
    sums: NDArray[np.float64],
    counts: NDArray[np.float64],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Ratio-of-sums means of many columns at once, with intervals over items: (value, low, high), `column`.

    `sums`, `counts`: `item column`; the mean of a column is Σ sums / Σ counts over resampled items.
    """
    random = np.random.default_rng(seed)
    weights = random.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=resamples).astype(np.float64)
    draws = (weights @ sums) / np.maximum(weights @ counts, 1e-12)
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(draws, [tail, 100 - tail], axis=0)
    return sums.sum(axis=0) / np.maximum(counts.sum(axis=0), 1e-12), low, high
