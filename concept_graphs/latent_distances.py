"""How far a graph found among latents is from the world's own: SHD, and SID where its open edges may point either way.

Discovery finds a class of graphs that no rows tell apart, so it is held against the class of the known graph: an edge
whose direction cannot be known must be open in both. SID is of graphs without open edges: it is given as the least and
the greatest over the graphs of the class that was found.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from concept_graphs.distances import shd_pair, sid
from concept_graphs.edges.library import of_library
from probes.errors import WorkbenchError
from probes.worlds.world import Flags

MOST_OPEN = 10  # edges: each doubles the graphs that SID is taken of


class KnownDistance(NamedTuple):
    """`shd`: pairs joined otherwise. `sid`: the least and the greatest number of effects got wrong, of `pairs` ordered
    ones; where there is none, None, and `why`."""

    shd: int
    sid: tuple[int, int] | None
    pairs: int
    why: str = ""


def distance(known: Flags, marks: Flags) -> KnownDistance:
    """Of `marks` (as in a `LatentGraph`) from the known graph `cause effect`, both over the same factors."""
    found, size = np.asarray(marks, dtype=np.int8), len(known)
    shd, pairs = shd_pair(class_of(known).astype(np.int8), found), size * (size - 1)
    still_open = int(np.triu(marks & marks.T, 1).sum())
    if still_open > MOST_OPEN:
        return KnownDistance(shd, None, pairs, f"{still_open} of its edges are open, and SID takes at most {MOST_OPEN}")
    try:
        wrong = [sid(known.astype(np.int8), one.astype(np.int8)).mistakes for one in pointed(marks)]
    except WorkbenchError as error:
        return KnownDistance(shd, None, pairs, error.why)
    if not wrong:
        return KnownDistance(shd, None, pairs, "its edges fit no graph without a cycle")
    return KnownDistance(shd, (min(wrong), max(wrong)), pairs)


def class_of(known: Flags) -> Flags:
    """The graphs that no rows tell from a known one, as `marks`: edges that may point either way do both."""
    to_class = of_library("causallearn.utils.DAG2CPDAG", "dag2cpdag")
    nodes = [of_library("causallearn.graph.GraphNode", "GraphNode")(str(at)) for at in range(len(known))]
    dag = of_library("causallearn.graph.Dag", "Dag")(nodes)
    for cause, effect in np.argwhere(known):
        dag.add_directed_edge(nodes[cause], nodes[effect])
    return marks_of(to_class(dag).graph)


def marks_of(ends: np.ndarray) -> Flags:
    """`marks` of causal-learn's end marks: a tail is −1, an arrowhead 1, and 0 stands where two are not joined."""
    joined = (ends != 0) & (ends.T != 0)
    return np.asarray(joined & ~((ends == 1) & (ends.T == -1)))


def pointed(marks: Flags) -> Iterator[Flags]:
    """Every graph of a class: its open edges point so that there is no cycle and no collider that was not there."""
    certain = marks & ~marks.T
    unsure = np.argwhere(np.triu(marks & marks.T, 1))
    colliders = _colliders(certain, marks)
    for ways in product((False, True), repeat=len(unsure)):
        one = certain.copy()
        for (a, b), turned in zip(unsure, ways, strict=True):
            one[(b, a) if turned else (a, b)] = True
        if _acyclic(one) and _colliders(one, marks) == colliders:
            yield one


def _colliders(directed: Flags, marks: Flags) -> set[tuple[int, int, int]]:
    """(cause, effect, cause) of effects whose two causes are not joined."""
    joined = marks | marks.T
    return {
        (int(a), effect, int(b))
        for effect, into in enumerate(directed.T)
        for a in np.flatnonzero(into)
        for b in np.flatnonzero(into)
        if a < b and not joined[a, b]
    }


def _acyclic(directed: Flags) -> bool:
    """Whether every node can be taken away after all of its causes."""
    left = np.ones(len(directed), dtype=np.bool_)
    while left.any():
        free = left & ~directed[left].any(axis=0)
        if not free.any():
            return False
        left &= ~free
    return True
