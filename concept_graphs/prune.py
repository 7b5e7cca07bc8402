"""Pruning by influence: what of an attribution graph carries the outputs, and how much of them the errors carry.

A node's influence is the share of the outputs that reaches it along all paths, every edge taken as its part of
what goes into its target. Everything is sparse and linear in the edges: one sweep from the outputs back, in an
order in which every node comes after all of its targets. Such an order exists only without cycles, and a graph
with one is refused, since influence would have no end on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from probes.errors import WorkbenchError

Role = Literal["feature", "error", "token", "output"]
NODE_SHARE, EDGE_SHARE = 0.8, 0.98
LEAST_SUM = 1e-10  # what a target's inputs sum to at least, so that one without inputs has shares of zero

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Attribution(NamedTuple):
    """An attribution graph: what each source adds to each target.

    `effects`: csr `target source`, no entry twice; `roles`: `node`; `outputs`: `node`, how much of each output is to
    be explained (its probability), 0 for every node that is none.
    """

    effects: sparse.csr_matrix
    roles: NDArray[np.str_]
    outputs: Numbers

    @classmethod
    def of(
        cls,
        source: NDArray[np.int64],
        target: NDArray[np.int64],
        effect: Numbers,
        roles: Sequence[Role] | NDArray[np.str_],
        outputs: Numbers,
    ) -> Attribution:
        """From one row per edge; effects between the same two nodes are added up."""
        size = len(outputs)
        effects = sparse.csr_matrix((effect, (target, source)), shape=(size, size), dtype=np.float64)
        return cls(effects, np.asarray(roles), np.asarray(outputs, dtype=np.float64))


class Pruned(NamedTuple):
    """What was kept: `nodes` `node`, and `edges`, one flag per stored entry of `effects` in its own order;
    `influence` `node` and `scores` per entry, those of the whole graph that the nodes and of the kept nodes that the
    edges were chosen by; and, of the whole graph, how far the features replace the subject and how complete their
    inputs are."""

    nodes: Flags
    edges: Flags
    influence: Numbers
    scores: Numbers
    replacement: float
    completeness: float


def shares(effects: sparse.csr_matrix) -> sparse.csr_matrix:
    """The part of |effect| that each source has in all that goes into its target, csr `target source`."""
    sizes = abs(effects)
    total = np.maximum(np.asarray(sizes.sum(axis=1)).ravel(), LEAST_SUM)
    return sparse.csr_matrix(
        (sizes.data / np.repeat(total, np.diff(sizes.indptr)), sizes.indices, sizes.indptr), shape=sizes.shape
    )


def influence(parts: sparse.csr_matrix, outputs: Numbers) -> Numbers:
    """outputs · (parts + parts² + ...), `node`, with no remainder. Raises `WorkbenchError` where there is a cycle.

    `parts`: csr `target source`, see `shares`; `outputs`: `node`.
    """
    size = len(outputs)
    waiting = np.bincount(parts.indices, minlength=size)  # targets of each source that are still to be swept
    found = np.zeros(size)
    ready, swept = np.flatnonzero(waiting == 0), 0
    while len(ready):
        swept += len(ready)
        entries = _entries(parts.indptr, ready)
        sources = parts.indices[entries]
        given = np.repeat(found[ready] + outputs[ready], np.diff(parts.indptr)[ready]) * parts.data[entries]
        touched, place = np.unique(sources, return_inverse=True)
        found[touched] += np.bincount(place, weights=given, minlength=len(touched))
        waiting[touched] -= np.bincount(place, minlength=len(touched))
        ready = touched[waiting[touched] == 0]
    if swept < size:
        raise _cyclic(parts, np.flatnonzero(waiting > 0))
    return found


def edge_scores(parts: sparse.csr_matrix, found: Numbers, outputs: Numbers) -> Numbers:
    """How much of the outputs passes along each stored entry of `parts`, in its order."""
    return np.asarray(parts.data * np.repeat(found + outputs, np.diff(parts.indptr)))


def threshold(values: Numbers, share: float) -> float:
    """The value down to which the largest values make up `share` of the sum; 0 where there is no value."""
    if not len(values):
        return 0.0
    ordered = np.sort(values)[::-1]
    reached = np.cumsum(ordered)
    if reached[-1] <= 0:
        return 0.0
    # A sum that is short of the share by rounding alone has reached it.
    at = int(np.searchsorted(reached / reached[-1], share * (1 - 1e-12)))
    return float(ordered[min(at, len(ordered) - 1)])


def prune(graph: Attribution, node_share: float = NODE_SHARE, edge_share: float = EDGE_SHARE) -> Pruned:
    """Keep the nodes that carry `node_share` of all influence, then the edges that carry `edge_share` among them,
    then drop, as long as there are any, features and errors that lead nowhere and features that come from nowhere.

    Tokens and outputs are always kept. Raises `WorkbenchError` for a cycle and for shares outside 0 to 1.
    """
    _check(graph, node_share, edge_share)
    parts = shares(graph.effects)
    whole = influence(parts, graph.outputs)
    fixed = (graph.roles == "token") | (graph.roles == "output")
    nodes = (whole >= threshold(whole, node_share)) | fixed
    target, source = _ends(graph.effects)
    among = nodes[target] & nodes[source]
    kept = shares(_only(graph.effects, among))
    scores = np.zeros(len(among))
    scores[among] = edge_scores(kept, influence(kept, graph.outputs), graph.outputs)
    edges = among & (scores >= threshold(scores[among], edge_share))
    nodes, edges = _connected(nodes, edges, source, target, graph.roles)
    replacement, completeness = quality(graph, parts, whole)
    return Pruned(nodes, edges, whole, scores, replacement, completeness)


def quality(
    graph: Attribution, parts: sparse.csr_matrix | None = None, found: Numbers | None = None
) -> tuple[float, float]:
    """Replacement: the influence of the tokens over that of tokens and errors, which is how far the features replace
    the subject from end to end. Completeness: how much of what goes into a node is no error, weighed by how much of
    the outputs the node carries. Both from 0 to 1, more is better; NaN where nothing carries anything."""
    parts = shares(graph.effects) if parts is None else parts
    found = influence(parts, graph.outputs) if found is None else found
    errors = graph.roles == "error"
    ends = float(found[graph.roles == "token"].sum()), float(found[errors].sum())
    carried = found + graph.outputs
    explained = 1 - parts @ errors.astype(np.float64)
    replacement = ends[0] / sum(ends) if sum(ends) > 0 else float("nan")
    total = float(carried.sum())
    return replacement, float(explained @ carried) / total if total > 0 else float("nan")


def _connected(
    nodes: Flags, edges: Flags, source: NDArray[np.int64], target: NDArray[np.int64], roles: NDArray[np.str_]
) -> tuple[Flags, Flags]:
    """What is left once nothing hangs loose: each round takes what the one before laid bare."""
    must_lead, must_come = (roles == "feature") | (roles == "error"), roles == "feature"
    while True:
        leads, comes = np.zeros_like(nodes), np.zeros_like(nodes)
        leads[source[edges]] = True
        comes[target[edges]] = True
        left = nodes & (leads | ~must_lead) & (comes | ~must_come)
        edges = edges & left[source] & left[target]
        if (left == nodes).all():
            return left, edges
        nodes = left


def _entries(indptr: NDArray[np.int32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of all stored entries of some rows, one row after the other."""
    counts = (indptr[rows + 1] - indptr[rows]).astype(np.int64)
    ends = np.cumsum(counts)
    return np.repeat(indptr[rows] - (ends - counts), counts) + np.arange(ends[-1] if len(ends) else 0)


def _ends(effects: sparse.csr_matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(target, source) of each stored entry."""
    return np.repeat(np.arange(effects.shape[0]), np.diff(effects.indptr)), effects.indices.astype(np.int64)


def _only(effects: sparse.csr_matrix, chosen: Flags) -> sparse.csr_matrix:
    """The same matrix with the chosen stored entries alone, in their order."""
    before = np.concatenate([[0], np.cumsum(chosen)])
    return sparse.csr_matrix(
        (effects.data[chosen], effects.indices[chosen], before[effects.indptr]), shape=effects.shape
    )


def _check(graph: Attribution, node_share: float, edge_share: float) -> None:
    size = len(graph.outputs)
    why = ""
    if graph.effects.shape != (size, size) or len(graph.roles) != size:
        why = f"it has {len(graph.roles)} roles, {size} outputs and effects of {graph.effects.shape}"
    elif not np.isfinite(graph.effects.data).all() or not np.isfinite(graph.outputs).all():
        why = "an effect or an output is not a finite number"
    elif (graph.outputs < 0).any():
        why = "an output has a negative weight"
    elif not (0 < node_share <= 1 and 0 < edge_share <= 1):
        why = f"shares of {node_share:g} of the influence and {edge_share:g} of the edges are not above 0 and at most 1"
    if why:
        raise WorkbenchError("bad-graph", "The graph cannot be pruned", why, "Correct it and try again.")


def _cyclic(parts: sparse.csr_matrix, left: NDArray[np.int64]) -> WorkbenchError:
    """The error that names two nodes of a cycle, which lies among the nodes left."""
    among = parts[left][:, left]
    _, of = sparse.csgraph.connected_components(among, directed=True, connection="strong")
    members = np.flatnonzero(of == np.bincount(of).argmax())
    if len(members) > 1:
        named = ", ".join(str(left[at]) for at in members[:3]) + (" and others" if len(members) > 3 else "")
        nodes = f"nodes {named} feed each other in a circle"
    else:
        nodes = f"node {left[np.flatnonzero(among.diagonal())[0]]} feeds itself"
    return WorkbenchError(
        "cyclic-graph",
        "The graph cannot be pruned by influence",
        f"{nodes}, and influence has no end on a circle",
        "Remove one of the edges between them.",
    )
