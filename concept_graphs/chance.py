"""How far random directions move each target: what an effect on it has to be compared with.

Some targets are moved by anything, most by next to nothing. A null pooled over all of them in the same unit is then the
null of the restless ones, and an edge to a quiet target is never seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from concept_graphs.evidence import SourceEffects

LEAST = 1e-9  # s.d.


class Chance(NamedTuple):
    """`unit`: `target`, in s.d. of the target; `pooled`: |moves| by random directions in that unit, ascending."""

    unit: np.ndarray
    pooled: np.ndarray

    def quantile(self, share: float) -> float:
        return float(np.quantile(self.pooled, share)) if len(self.pooled) else float("nan")


def moved_by_chance(
    effects: Mapping[int, SourceEffects], deviation: np.ndarray, null: Literal["null", "null_held"] = "null"
) -> Chance:
    """Over all null draws of all sources. `deviation`: `target`, of the columns of the effects; `null`: of all that the
    draws do, or of what they do with the direct residual path held.

    The unit is the root mean square of the moves plus the median one over targets (the constant that Tusher et al.
    2001 add to a statistic's denominator): without it the few draws of a target that hardly moves at all make it look
    surer than it is. Targets without deviation have no unit (NaN); one that chance never moves has the least there is.
    """
    if not effects:
        return Chance(np.full(len(deviation), np.nan), np.zeros(0))
    moves = np.concatenate(
        [getattr(one, null).sum(axis=1) / np.maximum(one.count.sum(axis=0), 1) for one in effects.values()]
    ) / np.where(deviation > 0, deviation, np.nan)
    typical = np.sqrt(np.mean(moves**2, axis=0))
    unit = typical + (np.nanmedian(typical) if np.isfinite(typical).any() else 0.0)
    unit = np.maximum(unit, LEAST)
    pooled = np.abs(moves / unit)
    return Chance(unit, np.sort(pooled[np.isfinite(pooled)]))
