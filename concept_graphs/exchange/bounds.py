"""How much of a graph goes into a file: the strongest edges first, and what was left out in words.

Viewers in browsers fail on files of gigabytes, and do not say so.
"""

from __future__ import annotations

import numpy as np

from concept_graphs.exchange.format import plural
from concept_graphs.graph import ConceptGraph, EdgeTable, NodeTable
from concept_graphs.view import ranks


def bounded(graph: ConceptGraph, most_nodes: int, most_edges: int) -> tuple[ConceptGraph, list[str]]:
    """The graph with at most so many concepts and edges, and a sentence where that is less than it has.

    Edges are kept by strength, concepts by their strongest edge; those without edges go first.
    """
    order = np.argsort(-ranks(graph), kind="stable")
    source, target = graph.ends
    joined = np.stack([source[order], target[order]], axis=1).ravel()
    seen, first = np.unique(joined, return_index=True)
    alone = np.setdiff1d(np.arange(len(graph.nodes)), seen)
    kept = np.concatenate([seen[np.argsort(first, kind="stable")], alone])[:most_nodes]
    inside = np.zeros(len(graph.nodes), dtype=bool)
    inside[kept] = True
    edges = order[inside[source[order]] & inside[target[order]]][:most_edges]
    gone = len(graph.nodes) - len(kept), len(graph.edges) - len(edges)
    if not any(gone):
        return graph, []
    said = (
        f"{plural(gone[0], 'concept')} and {plural(gone[1], 'edge')} of {len(graph.nodes):,} and "
        f"{len(graph.edges):,} were left out, the weakest first."
    )
    nodes = NodeTable.from_rows([graph.nodes.row(int(at)) for at in np.flatnonzero(inside)])
    links = EdgeTable.from_rows([graph.edges.row(int(at)) for at in np.sort(edges)])
    known = set(nodes["id"])
    return ConceptGraph(
        graph.meta.model_copy(update={"warnings": [*graph.meta.warnings, said]}),
        nodes,
        links,
        {key: rows for key, rows in graph.examples.items() if key in known},
        {key: rows for key, rows in graph.pictures.items() if key in known},
        {key: rows for key, rows in graph.rows.items() if key in known},
    ), [said]
