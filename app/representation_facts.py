"""The inspector of a representation's latent in words for people: figures, rows at both ends, proposed edges."""

from __future__ import annotations

from typing import Any

from concept_graphs.graph import ConceptGraph
from concept_graphs.ring import edge_said
from concept_graphs.tables import Edge, HeldOutRow, Node
from concept_graphs.text import number, visible

MOST_EDGES = 12


def latent_facts(graph: ConceptGraph, node: Node) -> list[dict[str, str]]:
    """Name, value, note and help of each figure of a latent that is never off."""
    rows = graph.meta.figures.get("held_out")
    known = node.follows
    return [
        {
            "name": "deviation",
            "value": number(node.deviation),
            "note": f"over {rows:,} held-out rows" if isinstance(rows, int) else "over held-out rows",
            "help": "Standard deviation of the latent: the unit of a lever's strength. It is never off, so there is no "
            "share of rows it fires in.",
        },
        {
            "name": "matches factor",
            "value": "none" if known is None else visible(known.factor),
            "note": "no factor was assigned to it"
            if known is None
            else f"MCC {number(known.mcc)}, known because the world is",
            "help": "The factor that is assigned to this latent when all are matched one to one, and their |Pearson| "
            "on held-out rows. Neither the label nor an edge is made of it.",
        },
        {
            "name": "edges",
            "value": str(len(graph.parents(node.id)) + len(graph.children(node.id))),
            "note": "proposed, not tested",
        },
        {"name": "rows shown", "value": str(len(graph.rows.get(node.id, []))), "note": "at its two ends"},
    ]


def rows_of(graph: ConceptGraph, concept: str) -> list[dict[str, Any]]:
    """The held-out rows at both ends: a picture's address, or the numbers that are seen."""
    return [_row(one) for one in graph.rows.get(concept, [])]


def _row(one: HeldOutRow) -> dict[str, Any]:
    said = f"row {one.row}, where the latent is {number(one.value)}"
    return {
        "end": one.end,
        "value": one.value,
        "row": one.row,
        "address": f"data:image/png;base64,{one.png}" if one.png else "",
        "ratio": one.size[1] / one.size[0] if one.size else 1.0,
        "x": one.x,
        "said": said,
        "alt": f"Held-out {said}: {one.end}",
    }


def by_direction(graph: ConceptGraph, concept: str) -> list[tuple[str, str, list[tuple[Edge, str]]]]:
    """(title, hint, edges with their other ends) by what is proposed of a direction: into the latent, out of it, and
    open. The best supported edges come first."""
    into, out = (
        sorted(edges, key=lambda edge: edge.support, reverse=True)
        for edges in (graph.children(concept), graph.parents(concept))
    )
    joined = [(e, e.source) for e in into if not e.oriented] + [(e, e.target) for e in out if not e.oriented]
    return [
        ("Caused by", "proposed: edges that point here", [(e, e.source) for e in into if e.oriented]),
        ("Causes", "proposed: edges that point away", [(e, e.target) for e in out if e.oriented]),
        ("Joined with", "proposed, direction open", sorted(joined, key=lambda one: one[0].support, reverse=True)),
    ]


def edge_lists(graph: ConceptGraph, concept: str) -> list[dict[str, Any]]:
    """The edges of a latent as the inspector lists them."""
    return [
        {
            "title": title,
            "hint": hint,
            "items": [_edge(graph, edge, other) for edge, other in found[:MOST_EDGES]],
            "more": f"{len(found) - MOST_EDGES} more are in the graph" if len(found) > MOST_EDGES else "",
        }
        for title, hint, found in by_direction(graph, concept)
    ]


def _edge(graph: ConceptGraph, edge: Edge, other: str) -> dict[str, Any]:
    said = edge_said(edge)
    nothing = dict.fromkeys(("effect", "low", "high", "null95"))
    again = "" if edge.frequency is None else f"in {edge.frequency:.0%} of resamples"
    return nothing | {
        "id": other,
        "label": graph.node(other).label,
        "verdict": edge.verdict,
        "said": again,
        "detail": "; ".join([f"{edge.source} and {edge.target}: {said[0]}", *said[1:]]),
    }
