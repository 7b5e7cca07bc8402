"""Graph rows: how many edges interventions support, spread order, label detection, agreement of seeds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from app.suites.rows import Row, interval_row
from concept_graphs.graph import ConceptGraph
from probes.metrics.intervals import bootstrap

AIMS = {"low-middle.confirmed": 100.0, "middle-high.confirmed": 20.0}
UNITS = {
    "spread": "rows per chunk over the row kind's floor",
    "detection": "area under the ROC curve of the label, held out, mean over concepts",
    "dependence": "correlation of parts of one whole, given the whole: below zero composes, about zero generates",
    "agreement_seeds": "edges both seeds' maps have among those either has, of concepts both have",
    "matched_seeds": "share of the map's edges whose ends another seed has too, at a decoder cosine of 0.7",
    "agreement_halves": "edges that both halves of the held-out data confirm among those either does",
    "proposed_halves": "edges that both halves of the training data propose among those either does",
}


def edge_rows(graph: ConceptGraph) -> Iterator[Row]:
    """Counts of edges per pair, and the figures that carry an interval."""
    figures = graph.meta.figures
    for name, value in figures.items():
        if isinstance(value, list):
            unit = next((unit for part, unit in UNITS.items() if part in name), "")
            group = "labels" if name.endswith("detection") else "pairs"
            row = name if name.startswith("spread") else f"{group}.{name}"
            numbers = [float(part) for part in value if isinstance(part, int | float)]
            yield interval_row(row, numbers, unit=unit)
        elif isinstance(value, bool):
            yield Row(name=name, value=float(value), unit="1 where the order is supported")
        elif "-" in name and isinstance(value, int | float):
            tested = figures.get(f"{name.partition('.')[0]}.tested")
            n = int(tested) if isinstance(tested, int | float) else None
            yield Row(name=f"edges.{name}", value=float(value), n=n, unit="edges", aim=AIMS.get(name))
    yield from chain_rows(graph)
    yield from _seed_rows(graph)


def chain_rows(graph: ConceptGraph) -> Iterator[Row]:
    """Concepts that confirmed edges both reach from below and leave upwards."""
    confirmed = [edge for edge in graph.edges if edge.confirmed]
    joints = {edge.target for edge in confirmed} & {edge.source for edge in confirmed}
    paths = sum(
        sum(edge.target == joint for edge in confirmed) * sum(edge.source == joint for edge in confirmed)
        for joint in joints
    )
    yield Row(name="edges.joints", value=len(joints), unit="concepts with confirmed edges below and above")
    yield Row(name="edges.paths", value=paths, unit="confirmed paths through three levels")


def _seed_rows(graph: ConceptGraph) -> Iterator[Row]:
    """Do other seeds find the same concepts and edges? Mean best cosine, and support of confirmed edges."""
    others = len(seed_probes(graph))
    if not others:
        return
    for level in graph.meta.levels:
        found = [n.seed_agreement for n in graph.nodes if n.level == level.name and n.seed_agreement is not None]
        if found:
            value = bootstrap([found])
            unit = "best decoder cosine in another seed, mean over concepts"
            row = interval_row(f"seeds.{level.name}.agreement", [*value[:3], value.n], unit=unit, better="up")
            yield row.model_copy(update={"seeds": others + 1})
    for low, high in zip(graph.meta.levels, graph.meta.levels[1:], strict=False):
        for kind, wanted in (("confirmed", True), ("unsupported", False)):
            support = np.array(
                [
                    edge.seed_support
                    for edge in graph.edges
                    if edge.source.startswith(f"{low.name}/")
                    and edge.seed_support is not None
                    and edge.verdict != "untested"
                    and edge.confirmed is wanted
                ]
            )
            if len(support):
                value = bootstrap([support])
                unit = f"share of other seeds whose own map has the matched edge, {kind} edges"
                name = f"seeds.{low.name}-{high.name}.support_{kind}"
                row = interval_row(name, [*value[:3], value.n], unit=unit, better="up" if wanted else "")
                yield row.model_copy(update={"seeds": others + 1})


def seed_probes(graph: ConceptGraph) -> list[str]:
    """Probes of other seeds that the graph was compared with."""
    named = graph.meta.settings.get("seed_probes")
    return [str(name) for name in named] if isinstance(named, list) else []
