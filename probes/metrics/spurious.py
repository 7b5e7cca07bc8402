"""Spurious-correlation removal: a probe for one attribute, trained where another always came with it, has
learnt both; removing the few latents of the other one should mend it.

Two conventions of removing. To zero is SAEBench's: besides the attribute it takes out what the latents have
in common to all rows, which moves every row against the probe's threshold, so that complete removal can
score below none. To the mean code leaves that where it is, and only the attribute goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes.metrics.directions import Floats, fitted_direction, right
from probes.metrics.intervals import Interval
from probes.metrics.metric import Metric
from probes.metrics.removal import SHOWN, SIZES, Flags, Means, effects, over_documents, without

LEAST_GAP = 1e-3


class TwoAttributes(NamedTuple):
    """Chunks and two attributes of each (`chunk` bool), neither of which determines the other."""

    means: Means
    first: Flags
    second: Flags

    def swapped(self) -> TwoAttributes:
        return TwoAttributes(self.means, self.second, self.first)

    def balanced(self, seed: int) -> TwoAttributes:
        """A choice of chunks in which all four combinations are equally common. Raises `ValueError` when one
        of them does not occur."""
        cells = [np.flatnonzero((self.first == a) & (self.second == b)) for a in (False, True) for b in (False, True)]
        size = min(map(len, cells))
        if size == 0:
            raise ValueError("one combination of the two attributes does not occur")
        random = np.random.default_rng(seed)
        rows = np.sort(np.concatenate([random.permutation(cell)[:size] for cell in cells]))
        return self.part(rows)

    def part(self, rows: NDArray[np.integer] | Flags) -> TwoAttributes:
        return TwoAttributes(self.means.part(rows), self.first[rows], self.second[rows])


def scr_score(clean: float, biased: float, after: float) -> float:
    """The share of the accuracy lost to the spurious attribute that removal gives back; 0 where less than
    0.001 was lost."""
    gap = clean - biased
    return 0.0 if abs(gap) < LEAST_GAP else (after - biased) / gap


def spurious_removal(
    train: TwoAttributes,
    test: TwoAttributes,
    decoder: NDArray[np.float32],
    *,
    sizes: Sequence[int] = SIZES,
    to_mean: bool = False,
    seed: int = 0,
) -> dict[int, Interval]:
    """SCR by number of removed latents (set to zero, or to their mean), with an interval over test documents.

    Of the two ways to choose which attribute is wanted, the one with the lower biased accuracy is scored
    (SAEBench's rule). Probes and latents are chosen on training chunks only. `decoder`: `latent d`.
    """
    ways = [
        _one_way(fit.balanced(seed), held.balanced(seed), decoder, sizes, to_mean)
        for fit, held in ((train, test), (train.swapped(), test.swapped()))
    ]
    clean, biased, after, document = min(ways, key=lambda way: way[1].mean())
    return {
        n: over_documents(np.stack([clean, biased, kept], axis=1), document, lambda mean: scr_score(*mean), seed)
        for n, kept in after.items()
    }


def _one_way(
    train: TwoAttributes, test: TwoAttributes, decoder: NDArray[np.float32], sizes: Sequence[int], to_mean: bool
) -> tuple[Floats, Floats, dict[int, Floats], NDArray[np.int64]]:
    """(right with the clean probe, with the biased one, with it after removal; document), each `chunk`."""
    biased_rows = train.part(train.first == train.second)
    clean = fitted_direction(train.means.x, train.first)
    biased = fitted_direction(biased_rows.means.x, biased_rows.first)
    direction, _ = fitted_direction(train.means.x, train.second)
    strength = np.abs(effects(train.means.z, train.second, decoder, direction))
    order = np.argsort(-strength, kind="stable")
    x, y = test.means.x, test.first
    left = train.means.z.mean(axis=0) if to_mean else 0.0
    after = {n: right(without(test.means, decoder, order[:n], left), y, biased) for n in sizes}
    return right(x, y, clean), right(x, y, biased), after, test.means.document


SCR = Metric(
    lambda seen: seen.spurious[SHOWN].value, "removed", f"share of the lost accuracy, {SHOWN} latents at zero", "up"
)
SCR_TO_MEAN = Metric(
    lambda seen: seen.levelled[SHOWN].value,
    "removed",
    f"share of the lost accuracy, {SHOWN} latents at their mean",
    "up",
)
