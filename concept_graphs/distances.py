"""How far a graph is from a known one: edges that differ, and causal effects that would be got wrong.

SHD counts pairs of nodes whose ends differ in any way, so a reversal is one (causal-learn, gcastle, gadjid; some other
tools count two). SID and the ancestor adjustment identification distance are gadjid's, an optional extra: of how many
ordered pairs of nodes would the effect be estimated wrongly if the graph found were believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes.errors import WorkbenchError
from probes.worlds.world import Flags

Adjacency = NDArray[np.int8]


class CausalDistance(NamedTuple):
    """Mistakes and their share of all ordered pairs of nodes."""

    mistakes: int
    share: float


def whole_graph(parts: Sequence[Flags], direction: Literal["composes", "generates"] = "composes") -> Adjacency:
    """Edges between neighbouring levels, each `high low`, as one graph `node node` over all levels, lowest first:
    1 at (from, to). An edge leads upwards where it composes, and downwards where it generates."""
    starts = np.cumsum([0, parts[0].shape[1], *(some.shape[0] for some in parts)])
    found = np.zeros((starts[-1], starts[-1]), dtype=np.int8)
    for at, some in enumerate(parts):
        found[starts[at] : starts[at + 1], starts[at + 1] : starts[at + 2]] = some.T
    return found if direction == "composes" else np.ascontiguousarray(found.T)


def shd_pair(true: Adjacency, found: Adjacency) -> int:
    """Pairs of nodes joined otherwise in one graph than in the other; both `node node`, 1 at (from, to)."""
    differs = np.asarray(true != 0) != np.asarray(found != 0)
    return int(np.triu(differs | differs.T, 1).sum())


def sid(true: Adjacency, found: Adjacency) -> CausalDistance:
    """Structural intervention distance of acyclic graphs. Raises `WorkbenchError` without gadjid, and for cycles."""
    return _by_gadjid("sid", true, found)


def ancestor_aid(true: Adjacency, found: Adjacency) -> CausalDistance:
    """Ancestor adjustment identification distance of two acyclic graphs. Raises as `sid` does."""
    return _by_gadjid("ancestor_aid", true, found)


def _by_gadjid(name: str, true: Adjacency, found: Adjacency) -> CausalDistance:
    judge = _gadjid()
    graphs = [np.ascontiguousarray(graph != 0).astype(np.int8) for graph in (true, found)]
    for graph in graphs:
        _refuse_cycles(graph)  # gadjid panics
    share, mistakes = getattr(judge, name)(*graphs, edge_direction="from row to column")
    return CausalDistance(int(mistakes), float(share))


def _gadjid() -> Any:
    try:
        import gadjid
    except ImportError:
        raise WorkbenchError(
            "library-missing",
            "Causal distances between graphs cannot be computed",
            "gadjid is not installed",
            "pip install fulcrum-workbench[graphs].",
        ) from None
    return gadjid


def _refuse_cycles(graph: Adjacency) -> None:
    import networkx

    directed = networkx.from_numpy_array(graph, create_using=networkx.DiGraph)
    if not networkx.is_directed_acyclic_graph(directed):
        cycle = [str(edge[0]) for edge in networkx.find_cycle(directed)]
        raise WorkbenchError(
            "cyclic-graph",
            "The graph has no causal distance",
            f"nodes {', '.join(cycle[:6])} lie on a cycle",
            "Give a graph whose edges lead from level to level in one direction.",
        )
