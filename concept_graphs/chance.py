"""How far random directions move each target: what an effect on it has to be compared with.

Some targets are moved by anything, most by next to nothing. A null pooled over all of them in the same unit is then the
null of the restless ones, and an edge to a quiet target is never seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from concept_graphs.evidence import SourceEffects


class Chance(NamedTuple):
    """`unit`: `target`, in s.d. of the target; `pooled`: |moves| by random directions in that unit, ascending."""

    unit: np.ndarray
    pooled: np.ndarray


def moved_by_chance(effects: Mapping[int, SourceEffects], deviation: np.ndarray) -> Chance:
    """Over all null draws of all sources. `deviation`: `target`, of the columns of the effects.

    The unit is the root mean square of the moves plus the median one over targets (the constant that Tusher et al.
    2001 add to a statistic's denominator): without it the few draws of a target that hardly moves at all make it look
    surer than it is. Targets without deviation have no unit (NaN).
    """
    if not effects:
        return Chance(np.full(len(deviation), np.nan), np.zeros(0))
    moves = np.concatenate(
        [one.null.sum(axis=1) / np.maximum(one.count.sum(axis=0), 1) for one in effects.values()]
    ) / np.where(deviation > 0, deviation, np.nan)
    typical = np.sqrt(np.mean(moves**2, axis=0))
    unit = typical + (np.nanmedian(typical) if np.isfinite(typical).any() else 0.0)
    unit = np.where(unit > 0, unit, np.nan)
    pooled = np.abs(moves / unit)
    return Chance(unit, np.sort(pooled[np.isfinite(pooled)]))
