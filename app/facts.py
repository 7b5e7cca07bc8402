"""The figures of a concept in words for people: the same in the inspector, in a report and on the command line."""

from __future__ import annotations

from itertools import pairwise

from app.representation_facts import latent_facts
from concept_graphs.graph import ConceptGraph
from concept_graphs.tables import Node, Picture
from concept_graphs.text import in_words, percent


def concept_facts(graph: ConceptGraph, node: Node) -> list[dict[str, str]]:
    """Name, value, note and (where a name needs it) help of each figure."""
    if graph.meta.representation:
        return latent_facts(graph, node)
    pictures = graph.meta.direction == "generates"
    examples = len((graph.pictures if pictures else graph.examples).get(node.id, []))
    detection = "–" if node.detection is None else f"{node.detection:.2f}"
    low, high = node.detection_low, node.detection_high
    interval = "" if low is None or high is None else f"[{low:.2f}, {high:.2f}], n {node.detection_n:,}"
    ratio = node.spread / node.spread_floor if node.spread and node.spread_floor else None
    return [
        {
            "name": "frequency",
            "value": percent(node.frequency),
            "note": f"share of {'cells' if pictures else 'rows'}",
        },
        {
            "name": "typical",
            "value": "–" if node.typical is None else f"{node.typical:.3g}",
            "note": "95 % quantile when on",
        },
        {
            "name": "label finds it",
            "value": detection,
            "note": interval,
            "help": f"Area under the ROC curve on held-out {'images' if pictures else 'text'} of finding its "
            f"{'images by words of their prompts,' if pictures else 'rows by'} "
            f"{', '.join(token.strip() or '␣' for token in node.label_tokens) or 'no words'}; "
            "0.5 is chance, higher is better.",
        },
        {
            "name": "spread",
            "value": "–" if ratio is None else f"{ratio:.1f}",
            "note": f"{'cells per picture' if pictures else 'rows per chunk'} where it occurs",
            "help": "Participation ratio over its floor for this kind of row.",
        },
        {
            "name": "seed agreement",
            "value": "–" if node.seed_agreement is None else f"{node.seed_agreement:.2f}",
            "note": "best decoder cosine in other seeds",
        },
        {"name": "examples", "value": str(examples), "note": f"of different {'prompts' if pictures else 'documents'}"},
    ]


def edge_counts(graph: ConceptGraph) -> dict[str, int]:
    """Edges of each concept: the confirmed ones, or the proposed ones where no intervention tested any."""
    counts = dict.fromkeys(graph.nodes["id"], 0)
    for at in range(len(graph.edges)):
        if graph.only_proposed or graph.confirmed[at]:
            for end in ("source", "target"):
                counts[graph.edges[end][at]] += 1
    return counts


STABILITY = {
    "agreement_seeds": "seeds: edges both maps have, of concepts both have",
    "matched_seeds": "seeds: edges whose ends another seed has too",
    "agreement_halves": "halves of the held-out data: edges both confirm",
    "proposed_halves": "halves of the training data: edges both propose",
    "dependence": "parts of one whole, given the whole: correlation, below zero where it is composed of them",
}


def stability_rows(graph: ConceptGraph) -> list[list[str]]:
    """Per pair of levels what other seeds and halves of the data agree on, highest levels first; one row that says so
    where it was not measured."""
    names = [level.name for level in graph.meta.levels]
    pairs = [f"{low}-{high}" for low, high in pairwise(names)][::-1]
    figures = graph.meta.figures
    rows = [
        [pair, said, in_words(figures[f"{pair}.{key}"])]
        for pair in pairs
        for key, said in STABILITY.items()
        if f"{pair}.{key}" in figures
    ]
    return rows or [["–", "not measured", _unmeasured(graph)]]


def _unmeasured(graph: ConceptGraph) -> str:
    """How it could be measured, or why not."""
    if graph.meta.representation:
        return "a representation has no other seeds to agree with; how often an edge comes back stands beside it"
    if not graph.meta.probe:
        return "the graph was imported, without the probe it would be extracted from again"
    return "extract the graph again, with probes of other seeds"


def peak_place(one: Picture) -> str:
    """Where on its grid a concept is strongest, counted from 1 at the top left."""
    row, column = divmod(one.peak, one.grid[1])
    return f"row {row + 1} of {one.grid[0]}, column {column + 1} of {one.grid[1]}"
