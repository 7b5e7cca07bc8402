"""Layered layout: levels are storeys, the order inside a storey follows the weighted barycentre."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph

SWEEPS = 6
ROOM = 60  # concepts that fit side by side in one sub-row
MAX_ROWS = 4
SUB_ROW = 0.1  # distance of two sub-rows, in levels
PROPOSAL_WEIGHT = 0.02  # an unsupported or untested edge pulls this much at most


def place(graph: ConceptGraph) -> tuple[np.ndarray, np.ndarray]:
    """Layout of all concepts of a graph: x, y in [0, 1], float64 [nodes] each; level 0 is at the bottom."""
    pull = np.where(graph.confirmed, graph.strength, 0.0)
    top = float(pull.max(initial=0.0)) or 1.0
    source, target = graph.ends
    return layered(graph.level_index, source, target, pull / top + PROPOSAL_WEIGHT, len(graph.meta.levels))


def in_turn(graph: ConceptGraph) -> np.ndarray:
    """Place of every concept within its level, float64 [nodes]: as stored, else laid out now."""
    stored = graph.nodes.array("x")
    return place(graph)[0] if np.isnan(stored).any() else stored


def layered(
    level: np.ndarray, source: np.ndarray, target: np.ndarray, weight: np.ndarray, n_levels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Order each level by the weighted mean place of its neighbours, sweeping up and down.

    `level` int [nodes]; `source`, `target` int [edges], rows of nodes in adjacent levels; `weight`
    positive [edges]. Returns x, y in [0, 1], float64 [nodes]. Deterministic: ties keep the given order.
    """
    n = len(level)
    members = [np.flatnonzero(level == k) for k in range(n_levels)]
    below = csr_matrix((weight, (target, source)), shape=(n, n))
    above = csr_matrix(below.T)
    x = np.zeros(n)
    for rows in members:
        x[rows] = _even(len(rows))
    best, least = x.copy(), _tangle(x, source, target, weight)
    for sweep in range(SWEEPS):
        upward = sweep % 2 == 0
        matrix = below if upward else above
        for k in range(1, n_levels) if upward else range(n_levels - 2, -1, -1):
            x[members[k]] = _reordered(matrix[members[k]], x, x[members[k]])
        tangle = _tangle(x, source, target, weight)
        if tangle < least:
            best, least = x.copy(), tangle
    y = storeys(level, best)
    low, high = y.min(initial=0.0), y.max(initial=0.0)
    return best, (y - low) / (high - low) if high > low else np.full(n, 0.5)


def storeys(level: np.ndarray, x: np.ndarray, room: int = ROOM) -> np.ndarray:
    """y in units of levels: one storey per level; a crowded level is spread over up to four sub-rows.

    `room` is the number of concepts that fit side by side.
    """
    y = level.astype(np.float64)
    for k in np.unique(level):
        rows = np.flatnonzero(level == k)
        count = min(MAX_ROWS, -(-len(rows) // room))
        row_of = np.empty(len(rows), dtype=np.int64)
        row_of[np.argsort(x[rows], kind="stable")] = np.arange(len(rows)) % count
        y[rows] += (row_of - (count - 1) / 2) * SUB_ROW
    return y


def _even(count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) / max(count, 1)


def _reordered(matrix: csr_matrix, x: np.ndarray, own: np.ndarray) -> np.ndarray:
    """New places of one level: barycentres ranked and spaced evenly; a concept without neighbours keeps its place."""
    total = np.asarray(matrix.sum(axis=1)).ravel()
    centre = np.where(total > 0, (matrix @ x) / np.where(total > 0, total, 1.0), own)
    places = np.empty(len(own))
    places[np.lexsort((own, centre))] = _even(len(own))
    return places


def _tangle(x: np.ndarray, source: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
    """Weighted horizontal travel of all edges, what the sweeps make small."""
    return float(np.sum(weight * np.abs(x[source] - x[target])))
