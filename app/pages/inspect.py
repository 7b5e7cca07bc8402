"""The value of the inspector: one concept of a graph as plain data."""

from __future__ import annotations

from typing import Any

from app.components.token_strip import token_cells
from app.evidence_words import words_of
from app.facts import concept_facts
from app.graphs import OpenGraph
from app.latent_distribution import distribution
from app.pages.inspect_pictures import pictures_of, profile_of
from app.representation_facts import edge_lists, rows_of
from concept_graphs.graph import ConceptGraph
from concept_graphs.tables import Edge
from concept_graphs.text import visible_token

MOST_EDGES = 12


def card(opened: OpenGraph, concept: str, levers: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A `ConceptCard` value. Raises `WorkbenchError` for an unknown concept."""
    graph = opened.graph
    node = graph.node(concept)
    children, parents = graph.children(concept), graph.parents(concept)
    return {
        "id": node.id,
        "level": node.level,
        "level_index": graph.level_of(node.level),
        "label": node.label,
        "original": opened.original.get(concept, node.label),
        "edited": concept in opened.original,
        "is_lever": concept in levers,
        "figures": concept_facts(graph, node),
        "distribution": distribution(graph, node),
        "children": [_edge(opened, edge, edge.source) for edge in children[:MOST_EDGES]],
        "children_more": _more(len(children)),
        "parents": [_edge(opened, edge, edge.target) for edge in parents[:MOST_EDGES]],
        "parents_more": _more(len(parents)),
        "null_note": words_of(graph).card if children or parents else "",
        "examples": [
            {
                "document": example.document,
                "source": f"{example.document}, token {example.position:,}",
                "tokens": token_cells(example.tokens, example.values, peak=example.peak),
            }
            for example in graph.examples.get(concept, [])
        ],
        "pictures": pictures_of(graph, concept),
        "profile": profile_of(graph, node),
        "of_pictures": graph.meta.direction == "generates",
        "rows": rows_of(graph, concept) if graph.meta.representation else None,
        "edge_lists": edge_lists(graph, concept) if graph.meta.representation else None,
        "promoted": [{"shown": visible_token(t), "score": score} for t, score in node.promoted],
        "suppressed": [{"shown": visible_token(t), "score": score} for t, score in node.suppressed],
    }


def _edge(opened: OpenGraph, edge: Edge, other: str) -> dict[str, Any]:
    return {
        "id": other,
        "label": opened.graph.node(other).label,
        "verdict": edge.verdict,
        "effect": edge.effect,
        "low": edge.effect_low,
        "high": edge.effect_high,
        "null95": edge.null95,
        "detail": _detail(opened.graph, edge),
    }


def _detail(graph: ConceptGraph, edge: Edge) -> str:
    parts = [f"{edge.source} to {edge.target}: {edge.verdict}"]
    named = (
        ("effect", edge.effect),
        ("null 95 %", edge.null95),
        ("held", edge.held),
        ("p", edge.p),
        ("correlation", edge.correlation),
        ("bootstrap", edge.frequency),
        ("cosine", edge.cosine),
    )
    parts += [f"{name} {value:.3g}" for name, value in named if value is not None]
    return "; ".join([*parts, f"n {edge.n} {words_of(graph).counted}, {edge.places} places"])


def _more(count: int) -> str:
    return f"{count - MOST_EDGES} weaker edges are in the table" if count > MOST_EDGES else ""
