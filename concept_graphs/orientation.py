"""Composes or generates? What the codes of two levels say of the direction that fits their edges.

Where a high concept is the outcome of a selection among its parts, its parts depend on each other once it is known:
one part that is there explains it, and the others are less needed (explaining away). Where a high concept brings its
parts about, they are independent once all their causes are known. So the measure is the correlation of parts of one
whole, given the whole: clearly below zero speaks for composing, about zero for generating.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import sparse

from probes.hierarchy.codes import PairedCodes
from probes.metrics.intervals import Interval, bootstrap

LEAST_ROWS = 30  # of a stratum, and of either state of a part in it
MOST_PAIRS = 12  # of one whole
MARGIN = 0.04  # between what worlds of either kind showed, on seeds that no figure is taken from


class Orientation(NamedTuple):
    """`dependence`: mean correlation of parts of one whole given their wholes, interval over wholes; None where no
    two parts could be compared. `reading`: composes, generates, or undecided."""

    dependence: Interval | None
    reading: str


def orientation(codes: PairedCodes, source: Sequence[int], target: Sequence[int]) -> Orientation:
    """The reading that codes of training or held-out rows support for edges (source, target) between two levels.

    Codes are taken as on or off: how strong a part is says nothing of whether it was selected. Of each pair of parts
    of a whole that is on, only rows are taken in which every other whole of either is off: two parts that share several
    wholes go together for that reason alone.
    """
    parts: dict[int, list[int]] = {}
    wholes: dict[int, set[int]] = {}
    for s, t in zip(source, target, strict=True):
        parts.setdefault(int(t), []).append(int(s))
        wholes.setdefault(int(s), set()).add(int(t))
    low, high = ((side > 0).tocsc() for side in (codes.low, codes.high))
    found = [
        float(np.mean(values))
        for whole, own in parts.items()
        if len(values := list(_dependences(low, high, whole, sorted(set(own)), wholes)))
    ]
    if not found:
        return Orientation(None, "undecided")
    dependence = bootstrap([found])
    if dependence.high < -MARGIN:
        reading = "composes"
    elif dependence.low > -MARGIN:
        reading = "generates"
    else:
        reading = "undecided"
    return Orientation(dependence, reading)


def _dependences(
    low: sparse.csc_matrix, high: sparse.csc_matrix, whole: int, own: Sequence[int], wholes: Mapping[int, set[int]]
) -> Iterator[float]:
    """Correlation of on and off of pairs of parts of a whole, over rows where it is on and their other wholes off."""
    given = _flags(high, whole)
    taken = 0
    for a, b in combinations(own, 2):
        if taken >= MOST_PAIRS:
            return
        rows = given.copy()
        for other in (wholes[a] | wholes[b]) - {whole}:
            rows &= ~_flags(high, other)
        value = _phi(_flags(low, a)[rows], _flags(low, b)[rows])
        if value is not None:
            taken += 1
            yield value


def _flags(codes: sparse.csc_matrix, column: int) -> np.ndarray:
    found = np.zeros(codes.shape[0], dtype=bool)
    found[codes.indices[codes.indptr[column] : codes.indptr[column + 1]]] = True
    return found


def _phi(one: np.ndarray, other: np.ndarray) -> float | None:
    """Correlation of two flags; None where either state of either is too rare to tell."""
    counts = [min(int(flags.sum()), int((~flags).sum())) for flags in (one, other)]
    if len(one) < LEAST_ROWS or min(counts) < 5:
        return None
    return float(np.corrcoef(one, other)[0, 1])
