"""Links inside a report: from a concept's name to its card."""

from __future__ import annotations

from concept_graphs.graph import ConceptGraph
from probes.sections import Link


def concept_link(graph: ConceptGraph, key: str, more: str = "") -> Link:
    label = f" {graph.node(key).label}" if key in graph else ""
    return Link(f"{key}{label}{more}", anchor_of(key))


def anchor_of(concept: str) -> str:
    """The address of a concept's card in the page."""
    return f"concept-{concept.replace('/', '-')}"
