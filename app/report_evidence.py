"""The part of a report about concepts and edges: cards, and the table of evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from app.evidence_words import chance_of, words_of
from app.facts import concept_facts, edge_counts
from app.report_heats import heat_rows
from app.report_links import anchor_of, concept_link
from app.report_proposed import CARD_EDGES, proposed_neighbours, proposed_table
from concept_graphs.graph import ConceptGraph
from concept_graphs.tables import Edge, Node
from concept_graphs.text import visible_token
from probes.sections import Cell, Fact, Measure, Section, Strip, Table
from steering.comparison import Pinned

if TYPE_CHECKING:
    from app.report import ReportTwin

CARD_EXAMPLES = 3
MARKS = {"composed": "●", "carried": "◐", "generated": "●", "unsupported": "○", "untested": "·"}


def card_concepts(graph: ConceptGraph, comparisons: Sequence[Pinned], most: int) -> list[str]:
    """Ids of the concepts that get a card: those of pinned levers, then each level's best connected in turn.

    Listed from the highest level down; at most `most`.
    """
    pinned = (
        f"{row.lever.level}/{latent}"
        for found in comparisons
        if found.probe == graph.meta.probe
        for row in found.levers
        for latent in row.lever.weights
    )
    connected = edge_counts(graph)
    queues: dict[str, list[str]] = {level.name: [] for level in reversed(graph.meta.levels)}
    for node in sorted(graph.nodes, key=lambda node: (-connected[node.id], -(node.detection or 0))):
        queues[node.level].append(node.id)
    chosen = dict.fromkeys(key for key in pinned if key in graph)
    while len(chosen) < most and any(queues.values()):
        for queue in queues.values():
            if queue and len(chosen) < most:
                chosen.setdefault(queue.pop(0))
    order = {name: at for at, name in enumerate(queues)}
    return sorted(list(chosen)[:most], key=lambda key: order[key.partition("/")[0]])


def strongest_edges(graph: ConceptGraph, most: int) -> list[Edge]:
    """Confirmed edges before the rest, then by |effect| in units of the null, so that pairs of levels mix; where none
    was tested, by what speaks for the proposal."""
    if graph.only_proposed:
        return sorted(graph.edges, key=lambda edge: edge.support, reverse=True)[:most]

    def rank(edge: Edge) -> tuple[bool, float]:
        return not edge.confirmed, -abs(edge.effect or 0.0) / (edge.null95 or 1.0)

    return sorted(graph.edges, key=rank)[:most]


def concept_card(graph: ConceptGraph, twin: ReportTwin, key: str) -> Section:
    node = graph.node(key)
    examples = twin.examples.get(key, [])
    facts = [Fact(row["name"], row["value"], row["note"]) for row in concept_facts(graph, node)]
    original = twin.original_labels.get(key)
    if graph.only_proposed:
        tables = [*proposed_neighbours(graph, key)]
    else:
        tables = [
            *_neighbours(graph, "Part of", graph.parents(key), "target"),
            *_neighbours(graph, "Made of", graph.children(key), "source"),
        ]
    return Section(
        node.label,
        anchor_of(key),
        level=3,
        tag=node.id,
        group=graph.level_of(node.level),
        paragraphs=[f"Label given by a person; the workbench's own is {original}."] if original else (),
        facts=facts,
        words=_words(node),
        images=heat_rows(twin.pictures.get(key, [])),
        strips=[Strip(e.tokens, e.values, f"{e.document}, token {e.position:,}") for e in examples],
        tables=tables,
    )


def _words(node: Node) -> dict[str, list[str]]:
    pairs = (("makes likelier", node.promoted), ("makes less likely", node.suppressed))
    return {name: [visible_token(token) for token, _ in tokens] for name, tokens in pairs if tokens}


def _neighbours(graph: ConceptGraph, title: str, edges: Sequence[Edge], end: str) -> Iterator[Table]:
    if not edges:
        return
    rows: list[list[Cell]] = [
        [concept_link(graph, getattr(edge, end)), _effect(edge), _verdict(edge)] for edge in edges[:CARD_EDGES]
    ]
    more = f"; {len(edges) - CARD_EDGES} weaker ones are in the JSON twin" if len(edges) > CARD_EDGES else ""
    yield Table(["concept", "effect, s.d.", "verdict"], rows, f"{title}{more}", stacked=True)


def edge_table(graph: ConceptGraph, twin: ReportTwin) -> Section:
    if graph.only_proposed:
        return proposed_table(graph, twin)
    rows = [_edge_row(graph, graph.edge(source, target)) for source, target in twin.edges]
    said = f"The {len(rows):,} strongest of {len(graph.edges):,} edges in units of their null, confirmed ones first."
    words = words_of(graph)
    headers = ["from", "to", "effect, s.d.", words.beside, "q", "n", "verdict"]
    return Section(
        "Edges and their evidence",
        "edges",
        paragraphs=[said, words.table, *filter(None, [chance_of(graph.meta)])],
        tables=[Table(headers, rows, stacked=True)] if rows else (),
    )


def _edge_row(graph: ConceptGraph, edge: Edge) -> list[Cell]:
    held = Measure(edge.held, edge.held_low, edge.held_high)
    if edge.state is not None:
        held = Measure(edge.state, edge.state_low, edge.state_high)
    if edge.inside is not None:
        held = Measure(edge.inside, edge.inside_low, edge.inside_high)
    q = "–" if edge.q is None else f"{edge.q:.2g}"
    ends = [concept_link(graph, edge.source), concept_link(graph, edge.target)]
    return [*ends, _effect(edge), held, q, f"{edge.n}", _verdict(edge)]


def _effect(edge: Edge) -> Measure:
    return Measure(edge.effect, edge.effect_low, edge.effect_high, edge.null95)


def _verdict(edge: Edge) -> str:
    return f"{MARKS[edge.verdict]} {edge.verdict}"
