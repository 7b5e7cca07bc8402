"""The confirmed parts of a concept: what a lever may move along, because interventions showed the edge. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph


def confirmed_parts(graph: ConceptGraph, concept: str, most: int) -> dict[str, float]:
    """Concepts of the level below whose edge interventions confirmed, the strongest first and at most so many.

    Each has its effect as a share of the strongest one's, which is what it is moved by.
    """
    edges = [edge for edge in graph.children(concept) if edge.confirmed and edge.effect]
    strongest = max((abs(edge.effect or 0.0) for edge in edges), default=1.0)
    return {edge.source: abs(edge.effect or 0.0) / strongest for edge in edges[: max(0, most)]}
