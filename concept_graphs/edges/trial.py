"""Edges by trial: the targets that ablating a source moved most, beyond a random direction, on data of which none is
tested on.

What a source does downstream need not be what it is on together with, so codes alone may propose the wrong edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from concept_graphs.edges.proposal import Proposed
from concept_graphs.evidence import SourceEffects


def edges_by_trial(
    effects: Mapping[int, SourceEffects],
    targets: Sequence[int],
    count: int,
    *,
    per_source: int,
    generates: bool,
) -> Proposed:
    """The best `count` edges, at most so many of each source, best first.

    `targets`: the target of each column of the effects. The score is |mean| of the effect less that of random
    directions in the same places, over its standard error and the median one of the source, so that a target that
    hardly moves at all is not taken for a sure one. With `generates` sources are the upper ends.
    """
    found: list[tuple[float, int, int]] = []
    for source, one in effects.items():
        beyond = (one.change - one.null.mean(axis=0)) / np.maximum(one.count, 1)
        error = beyond.std(axis=0, ddof=1) / np.sqrt(len(beyond))
        typical = float(np.median(error[error > 0])) if (error > 0).any() else 1.0
        score = np.abs(beyond.mean(axis=0)) / (error + typical)
        best = [at for at in np.argsort(-score, kind="stable")[:per_source] if score[at] > 0]
        found += [(float(score[at]), source, targets[at]) for at in best]
    chosen = sorted(found, reverse=True)[:count]
    scores, ends = np.array([row[0] for row in chosen]), [np.array([row[at] for row in chosen], int) for at in (1, 2)]
    low, high = reversed(ends) if generates else ends
    unknown = np.full(len(chosen), np.nan)
    return Proposed(low, high, scores, unknown, unknown, unknown)
