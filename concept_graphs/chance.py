"""How far random directions move each target: what an effect on it has to be compared with.

Some targets are moved by anything, most by next to nothing. A null pooled over all of them in the same unit is then the
null of the restless ones, and an edge to a quiet target is never seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def moved_by_chance(effects: Mapping[int, SourceEffects], deviation: np.ndarray) -> Chance:
    """Over all null draws of all sources and all targets. `deviation`: `target`, of the columns of the effects."""
    found = [_moves(one, "null", slice(None)) for one in effects.values()]
    moves = np.concatenate(found) if found else np.zeros((0, len(deviation)))
    column = np.broadcast_to(np.arange(len(deviation)), moves.shape)
    return _chance(moves, column, deviation)


def moved_on_edges(
    effects: Mapping[int, SourceEffects],
    edges: Sequence[tuple[int, int]],
    deviation: np.ndarray,
    null: Literal["null", "null_held"] = "null",
) -> Chance:
    """Over the null draws of the sources of `edges` (source, column), each on the target of its edge alone.

    An edge is proposed where its target is often on. Codes are sparse: where a source fires most other targets are off
    and stay so, and a null that counts them is made of zeros, which random directions pass themselves.
    `null`: of all that the draws do, or of what they do with the direct residual path held.
    """
    found = [_moves(effects[source], null, column) for source, column in edges]
    moves = np.stack(found, axis=1) if found else np.zeros((0, 0))
    column = np.broadcast_to(np.array([at for _, at in edges], dtype=int), moves.shape)
    return _chance(moves, column, deviation)


def _moves(one: SourceEffects, null: str, columns: int | slice) -> np.ndarray:
    """Mean move per place, of each draw."""
    places = np.maximum(one.count.sum(axis=0), 1)
    return np.asarray((getattr(one, null).sum(axis=1) / places)[:, columns])


def _chance(moves: np.ndarray, column: np.ndarray, deviation: np.ndarray) -> Chance:
    """Of `moves` of the targets in `column`, both of one shape.

    The unit is the root mean square of the moves plus the median one over targets (the constant that Tusher et al.
    2001 add to a statistic's denominator): without it the few draws of a target that hardly moves at all make it look
    surer than it is. Targets without deviation, or without draws, have no unit (NaN); one that chance never moves has
    the least there is.

    In the pool each move is measured in the unit that the others of its target make. With its own share in that unit
    it could never be large, and effects, which have no share in it, would be compared with a pool that is too narrow:
    of two draws per edge 82 of 600 random directions passed so on a text model, and none as it is.
    """
    at, n = column.ravel(), len(deviation)
    sized = (moves / np.where(deviation > 0, deviation, np.nan)[column]).ravel()
    count, total = np.bincount(at, minlength=n), np.bincount(at, sized**2, n)
    typical = np.sqrt(total / np.where(count > 0, count, np.nan))
    usual = float(np.nanmedian(typical)) if np.isfinite(typical).any() else 0.0
    others = np.sqrt(np.maximum(total[at] - sized**2, 0) / np.maximum(count[at] - 1, 1))
    unit_without = np.where(count[at] > 1, others, usual) + usual
    pooled = np.abs(sized / np.maximum(unit_without, LEAST))
    return Chance(np.maximum(typical + usual, LEAST), np.sort(pooled[np.isfinite(pooled)]))
