"""The part of a report about edges that no intervention tested: what was proposed, and how often it comes back.

Such a graph has no effects, no nulls and no verdicts, and inside a level nothing is above or below anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from app.evidence_words import words_of
from app.report_links import concept_link
from app.representation_facts import by_direction
from concept_graphs.graph import ConceptGraph
from concept_graphs.tables import Edge
from concept_graphs.text import in_words, number
from probes.sections import Cell, Fact, Section, Table

if TYPE_CHECKING:
    from app.report import ReportTwin

CARD_EDGES = 5
SUPPORT = {"frequency": "comes back on", "correlation": "correlation", "weight": "weight"}


def proposed_facts(graph: ConceptGraph) -> list[Fact]:
    """The tiles that say how many edges there are and what is known of them."""
    facts = [Fact("edges proposed", f"{len(graph.edges):,}", "no intervention tested any")]
    oriented = [one for one in graph.edges["oriented"] if one is not None]
    if oriented:
        facts.append(
            Fact("direction proposed", f"{sum(oriented):,}", f"of {len(oriented):,}; of the others it is open")
        )
    shuffled = graph.meta.figures.get("shuffled_edges")
    if isinstance(shuffled, int | float):
        facts.append(Fact("edges by chance", in_words(shuffled), "on average, each latent shuffled by itself"))
    return facts


def proposed_neighbours(graph: ConceptGraph, key: str) -> Iterator[Table]:
    """The edges of a concept, by what is proposed of their direction; by level where levels give it."""
    if graph.meta.joins == "within":
        lists = by_direction(graph, key)
    else:
        lists = [
            ("Part of", "proposed, not tested", [(edge, edge.target) for edge in graph.parents(key)]),
            ("Made of", "proposed, not tested", [(edge, edge.source) for edge in graph.children(key)]),
        ]
    known = _known(graph)
    for title, hint, found in lists:
        if found:
            rows: list[list[Cell]] = [
                [concept_link(graph, other), *_support(edge, known)] for edge, other in found[:CARD_EDGES]
            ]
            more = f"; {len(found) - CARD_EDGES} weaker ones are in the JSON twin" if len(found) > CARD_EDGES else ""
            yield Table(["concept", *(SUPPORT[name] for name in known)], rows, f"{title} ({hint}){more}", stacked=True)


def proposed_table(graph: ConceptGraph, twin: ReportTwin) -> Section:
    """The strongest proposals with what speaks for them."""
    known, within = _known(graph), graph.meta.joins == "within"
    headers = ["concept", "direction", "other concept"] if within else ["from", "to"]
    rows: list[list[Cell]] = []
    for source, target in twin.edges:
        edge, ends = graph.edge(source, target), [concept_link(graph, key) for key in (source, target)]
        direction = ["→ proposed" if edge.oriented else "– open"] if within else []
        rows.append([ends[0], *direction, ends[1], *_support(edge, known)])
    said = f"{len(rows):,} of {len(graph.edges):,} proposed edges{_order(known)}; no intervention tested any of them."
    return Section(
        "Proposed edges",
        "edges",
        paragraphs=[said, words_of(graph).table],
        tables=[Table([*headers, *(SUPPORT[name] for name in known)], rows, stacked=True)] if rows else (),
    )


def _known(graph: ConceptGraph) -> list[str]:
    """What is known of any edge, the weightiest first."""
    return [name for name in SUPPORT if any(value is not None for value in graph.edges[name])]


def _order(known: Sequence[str]) -> str:
    return {"frequency": ", those that come back most often first", "weight": ", the largest weights first"}.get(
        known[0] if known else "", ""
    )


def _support(edge: Edge, known: Sequence[str]) -> list[str]:
    """Values of an edge under the headers of `SUPPORT`."""
    cells = {
        "frequency": "–" if edge.frequency is None else f"{edge.frequency:.0%} of resamples",
        "correlation": "–" if edge.correlation is None else number(edge.correlation),
        "weight": "–" if edge.weight is None else number(edge.weight, 3),
    }
    return [cells[name] for name in known]
