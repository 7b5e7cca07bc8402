"""Intervals: paired bootstrap over items within seeds, then over seeds; Student's t where seeds decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

RESAMPLES = 2000


class Interval(NamedTuple):
    """A statistic with its 95 % interval; `n` items in `seeds` seeds."""

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
    With one seed only items are resampled. For many items: where few seeds decide, see `seeds_interval`.
    Raises `ValueError` when a seed has no items.
    """
    data = _items(per_seed)
    random = np.random.default_rng(seed)
    draws = np.empty(RESAMPLES)
    for draw in range(RESAMPLES):
        chosen = random.integers(len(data), size=len(data)) if len(data) > 1 else [0]
        draws[draw] = np.mean([statistic(data[s][random.integers(len(data[s]), size=len(data[s]))]) for s in chosen])
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    value = float(np.mean([statistic(items) for items in data]))
    return Interval(value, float(low), float(high), sum(map(len, data)), len(data))


def seeds_interval(per_seed: Sequence[ArrayLike], *, level: float = 0.95) -> Interval:
    """The mean over seeds, or worlds, with Student's t interval: a seed counts by the mean of its items.

    For what each seed has afresh, such as a world and its concepts: of three seeds a bootstrap holds the mean 73 times
    in 100, of five 83 times. Of paired differences likewise. The interval is not cut off where the figure ends: a bound
    beyond that says that the seeds are too few. One seed says nothing of seeds, and its items are resampled instead.
    Raises `ValueError` when a seed has no items.
    """
    data = _items(per_seed)
    if len(data) == 1:
        return bootstrap(data, level=level)
    means = np.array([items.mean() for items in data])
    value = float(means.mean())
    reach = float(stdtrit(len(data) - 1, (1 + level) / 2)) * float(means.std(ddof=1)) / len(data) ** 0.5
    return Interval(value, value - reach, value + reach, sum(map(len, data)), len(data))


def _items(per_seed: Sequence[ArrayLike]) -> list[NDArray[np.float64]]:
    data = [np.asarray(items, dtype=np.float64) for items in per_seed]
    if not data or any(len(items) == 0 for items in data):
        raise ValueError("an interval needs at least one item in every seed")
    return data


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
