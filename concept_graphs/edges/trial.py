"""Edges by trial: the targets that ablating a source moved most, beyond a random direction, on data of which none is
tested on.

What a source does downstream need not be what it is on together with, so codes alone may propose the wrong edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from concept_graphs.chance import moved_by_chance
from concept_graphs.edges.proposal import Proposed
from concept_graphs.evidence import SourceEffects


def edges_by_trial(
    effects: Mapping[int, SourceEffects], targets: Sequence[int], deviation: np.ndarray, *, each: int, generates: bool
) -> Proposed:
    """The best `each` targets of every source, best first.

    `targets`, `deviation`: the target of each column of the effects, and its s.d. The score is |mean| of the effect
    less that of random directions in the same places, in the unit of how far those move the target at all (see
    `chance`): a target that everything moves is not the source's own. With `generates` sources are the upper ends.
    """
    unit = moved_by_chance(effects, deviation).unit
    found: list[tuple[float, int, int]] = []
    for source, one in effects.items():
        beyond = ((one.change - one.null.mean(axis=0)) / np.maximum(one.count, 1)).mean(axis=0)
        score = np.nan_to_num(np.abs(beyond) / deviation / unit)
        found += [
            (float(score[at]), source, targets[at]) for at in np.argsort(-score, kind="stable")[:each] if score[at] > 0
        ]
    best = sorted(found, reverse=True)
    scores, ends = np.array([row[0] for row in best]), [np.array([row[at] for row in best], int) for at in (1, 2)]
    low, high = reversed(ends) if generates else ends
    unknown = np.full(len(best), np.nan)
    return Proposed(low, high, scores, unknown, unknown, unknown)
