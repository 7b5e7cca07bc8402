"""Composes or generates? What the codes of two levels say of the direction that fits their edges.

Where a high concept is the outcome of a selection among its parts, its parts depend on each other once it is known:
one part that is there explains it, and the others are less needed (explaining away). Where a high concept brings its
parts about, they are independent once all their causes are known. So the measure is the correlation of parts of one
whole, given the whole: clearly below zero speaks for composing, about zero for generating. How clearly is said of
other rows as well as of other wholes: a graph may have one whole, and its parts correlate by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from probes.hierarchy.codes import PairedCodes
from probes.metrics import intervals
from probes.metrics.intervals import Interval

BLOCKS = 50  # of neighbouring chunks, which are resampled whole
LEAST_BLOCKS = 8  # fewer say too little of how other rows would differ
LEAST_ROWS = 30  # of a stratum, and of either state of a part in it
MOST_PAIRS = 12  # of one whole
MARGIN = 0.04  # between what worlds of either kind showed, on seeds that no figure is taken from


Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Orientation(NamedTuple):
    """`dependence`: mean correlation of parts of one whole given their wholes, with its interval over chunks and wholes
    and `n` wholes; None where no two parts could be compared, or chunks are few. `reading`: composes, generates, or
    undecided."""

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
    block = _blocks(codes.chunk)
    counted = [_counts(low, high, whole, sorted(set(own)), wholes, block) for whole, own in parts.items()]
    counted = [table for table in counted if len(table)]
    if not counted or block.max() + 1 < LEAST_BLOCKS:
        return Orientation(None, "undecided")
    dependence = _interval(counted)
    if dependence.high < -MARGIN:
        reading = "composes"
    elif dependence.low > -MARGIN:
        reading = "generates"
    else:
        reading = "undecided"
    return Orientation(dependence, reading)


def _blocks(chunk: NDArray[np.int64]) -> NDArray[np.int64]:
    """The block of every row: chunks are dealt to blocks in their order."""
    _, at = np.unique(chunk, return_inverse=True)
    chunks = int(at.max(initial=-1)) + 1
    return np.asarray(at * min(BLOCKS, chunks) // max(chunks, 1), dtype=np.int64)


def _counts(
    low: sparse.csc_matrix,
    high: sparse.csc_matrix,
    whole: int,
    own: Sequence[int],
    wholes: Mapping[int, set[int]],
    block: NDArray[np.int64],
) -> Floats:
    """How often neither part of a pair is on, the second, the first, or both: `pair block 4`.

    Pairs of parts of a whole, over rows where it is on and their other wholes off; those that can be compared.
    """
    given, blocks = _flags(high, whole), int(block.max(initial=-1)) + 1
    found: list[Floats] = []
    for a, b in combinations(own, 2):
        if len(found) >= MOST_PAIRS:
            break
        rows = given.copy()
        for other in (wholes[a] | wholes[b]) - {whole}:
            rows &= ~_flags(high, other)
        one, other_part = _flags(low, a)[rows], _flags(low, b)[rows]
        if not _comparable(one, other_part):
            continue
        cell = 4 * block[rows] + 2 * one + other_part
        found.append(np.bincount(cell, minlength=4 * blocks).reshape(blocks, 4).astype(np.float64))
    return np.stack(found) if found else np.empty((0, blocks, 4))


def _interval(counted: Sequence[Floats]) -> Interval:
    """The mean over wholes of the mean over their pairs; blocks of rows are drawn again, and then wholes.

    `counted`: per whole `pair block 4`.
    """
    random, blocks = np.random.default_rng(0), counted[0].shape[1]
    weights = random.multinomial(blocks, np.full(blocks, 1 / blocks), size=intervals.RESAMPLES).astype(np.float64)
    drawn = np.stack([_phi(np.einsum("db,pbc->dpc", weights, table, optimize=True)) for table in counted], axis=1)
    chosen = random.integers(len(counted), size=drawn.shape)
    low, high = np.percentile(np.take_along_axis(drawn, chosen, axis=1).mean(axis=1), [2.5, 97.5])
    value = float(np.mean([_phi(table.sum(axis=1)) for table in counted]))
    return Interval(value, float(low), float(high), len(counted), 1)


def _flags(codes: sparse.csc_matrix, column: int) -> Flags:
    found = np.zeros(codes.shape[0], dtype=bool)
    found[codes.indices[codes.indptr[column] : codes.indptr[column + 1]]] = True
    return found


def _comparable(one: Flags, other: Flags) -> bool:
    """Whether either state of either is common enough to tell."""
    counts = [min(int(flags.sum()), int((~flags).sum())) for flags in (one, other)]
    return len(one) >= LEAST_ROWS and min(counts) >= 5


def _phi(counts: Floats) -> Floats:
    """Correlation of two flags, from how often neither, the second, the first or both are on: `… pair 4` to the mean
    over pairs. A pair of which one flag never changes counts as unrelated."""
    neither, second, first, both = np.moveaxis(counts, -1, 0)
    spread = (neither + second) * (first + both) * (neither + first) * (second + both)
    found = (neither * both - first * second) / np.sqrt(np.maximum(spread, 1e-12))
    return np.asarray(found.mean(axis=-1))
