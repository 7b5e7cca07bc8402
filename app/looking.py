"""`graph show`: print a graph, or one concept of it, for people or as JSON."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import TYPE_CHECKING

from pydantic import Field

from app.facts import peak_place
from concept_graphs.ring import edge_said
from concept_graphs.schema import GraphMeta
from concept_graphs.tables import Edge, Example, HeldOutRow, Node, Picture
from concept_graphs.text import number, percent

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph


class ShownEdge(Edge):
    """An edge with the labels of its ends."""

    source_label: str = Field(description="Label of the lower concept.")
    target_label: str = Field(description="Label of the upper concept.")


class ShownGraph(GraphMeta):
    """What `graph show --json` prints: the graph's meta data, counts and strongest edges."""

    concepts: int = Field(description="Number of concepts.")
    concepts_by_level: dict[str, int] = Field(description="Level to number of concepts.")
    edges: int = Field(description="Number of edges.")
    confirmed: int = Field(description="Edges that interventions support.")
    verdicts: dict[str, int] = Field(description="Verdict to number of edges.")
    strongest: list[ShownEdge] = Field(description="Edges: confirmed ones first, then by |effect|.")


class ShownConcept(Node):
    """What `graph show --concept ID --json` prints: one concept with its evidence."""

    parents: list[ShownEdge] = Field(description="Edges to the level above, the strongest first.")
    children: list[ShownEdge] = Field(description="Edges to the level below, the strongest first.")
    examples: list[Example] = Field(description="Stretches of text in which it is active.")
    pictures: list[Picture] = Field(description="Images in which it is active, each with a heat map.")
    rows: list[HeldOutRow] = Field(description="Held-out rows of a world at both ends of a latent that is never off.")


def add_show_flags(parser: argparse.ArgumentParser) -> None:
    """`graph show <ref> [--concept ID] [--top N] [--json]`."""
    parser.add_argument("ref", help="Name of the graph, such as bundled/text, or its folder.")
    parser.add_argument("--concept", help="Show this concept only, such as middle/123.")
    parser.add_argument(
        "--top", type=int, default=20, help="How many edges to print, the strongest first. Default: 20."
    )
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    parser.set_defaults(run_command=show)


def show(args: argparse.Namespace) -> int:
    """Print a graph, or one concept of it."""
    from concept_graphs.graph import ConceptGraph

    graph = ConceptGraph.open(args.ref)
    shown = concept_of(graph, args.concept, args.top) if args.concept else overview(graph, args.top)
    if args.json:
        print(shown.model_dump_json())
    else:
        print(_concept_text(shown) if isinstance(shown, ShownConcept) else _overview_text(shown))
    return 0


def overview(graph: ConceptGraph, top: int) -> ShownGraph:
    """The graph's figures, levels, counts by verdict, warnings and `top` strongest edges."""
    order = sorted(range(len(graph.edges)), key=lambda i: (not graph.confirmed[i], -graph.strength[i]))
    return ShownGraph(
        **graph.meta.model_dump(),
        concepts=len(graph.nodes),
        concepts_by_level=dict(Counter(graph.nodes["level"])),
        edges=len(graph.edges),
        confirmed=int(graph.confirmed.sum()),
        verdicts=dict(Counter(graph.edges["verdict"])),
        strongest=[_edge(graph, graph.edges.row(i)) for i in order[: max(0, top)]],
    )


def concept_of(graph: ConceptGraph, concept: str, top: int) -> ShownConcept:
    """One concept with its evidence, at most `top` neighbours on each side, and its examples."""
    return ShownConcept(
        **graph.node(concept).model_dump(),
        parents=[_edge(graph, edge) for edge in graph.parents(concept)[: max(0, top)]],
        children=[_edge(graph, edge) for edge in graph.children(concept)[: max(0, top)]],
        examples=graph.examples.get(concept, []),
        pictures=graph.pictures.get(concept, []),
        rows=graph.rows.get(concept, []),
    )


def _edge(graph: ConceptGraph, edge: Edge) -> ShownEdge:
    labels = {"source_label": graph.node(edge.source).label, "target_label": graph.node(edge.target).label}
    return ShownEdge(**edge.model_dump(), **labels)


def _overview_text(shown: ShownGraph) -> str:
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in shown.verdicts.items())
    made_of = f"representation {shown.representation}" if shown.representation else f"probe {shown.probe}"
    lines = [shown.title, f"  subject {shown.subject}, {made_of}"]
    for level in reversed(shown.levels):
        count = shown.concepts_by_level.get(level.name, 0)
        band = "" if level.noise is None else ", noise {:g} to {:g}".format(*level.noise)
        lines.append(f"  {level.name:<8} {count:>5} concepts at {level.hook_point}{band}, a row is a {level.row}")
    lines.append(f"  {shown.edges} edges: {verdicts}")
    lines += [f"  warning: {warning}" for warning in shown.warnings]
    if shown.joins == "within":
        return "\n".join([*lines, "Proposed edges:", *map(_edge_text, shown.strongest)])
    removed, measured = ("lower", "higher") if shown.direction == "composes" else ("higher", "lower")
    lines.append(
        f"Strongest edges (effect of removing the {removed} concept, in s.d. of the {measured}; 95 % interval):"
    )
    return "\n".join([*lines, *map(_edge_text, shown.strongest)])


def _concept_text(shown: ShownConcept) -> str:
    lines = [f"{shown.id}  {shown.label}"]
    if shown.frequency is not None:
        lines.append(f"  active in {percent(shown.frequency, 3)} of rows, typical size {number(shown.typical)}")
    if shown.deviation is not None:
        lines.append(f"  standard deviation {number(shown.deviation)} over held-out rows")
    if shown.follows is not None:
        lines.append(f"  matches factor {shown.follows.factor}, MCC {number(shown.follows.mcc)}: the world is known")
    if shown.detection is not None:
        low, high = shown.detection_low, shown.detection_high
        interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
        lines.append(f"  the label finds it with AUC {shown.detection:.2f}{interval}, n {shown.detection_n}")
    for side, scored in (("promoted", shown.promoted), ("suppressed", shown.suppressed)):
        tokens = " ".join(repr(token) for token, _ in scored[:8])
        lines += [f"  {side}: {tokens}"] if tokens else []
    within = any(edge.oriented is not None for edge in (*shown.parents, *shown.children))
    sides = ("edges from it", "edges to it") if within else ("parents", "children")
    for side, edges in zip(sides, (shown.parents, shown.children), strict=True):
        lines += [f"  {side}:", *map(_edge_text, edges)] if edges else []
    lines += [f"  | {json.dumps(''.join(example.tokens))}" for example in shown.examples[:5]]
    for one in shown.pictures[:5]:
        where = f"seed {one.seed}, noise {one.noise:.2f}: strongest at {peak_place(one)}"
        lines.append(f"  | {json.dumps(one.prompt)} {where}")
    lines += [f"  | row {one.row}: {one.end}, {number(one.value)}" for one in shown.rows]
    return "\n".join(lines)


def _edge_text(edge: ShownEdge) -> str:
    joined = "--" if edge.oriented is False else "->"
    ends = f"  {edge.source} {edge.source_label!r} {joined} {edge.target} {edge.target_label!r}"
    if edge.oriented is not None:
        return "; ".join([f"{ends}: {edge_said(edge)[0]}", *edge_said(edge)[1:]])
    if edge.effect is None:
        return f"{ends}: {edge.verdict}"
    low, high, null = edge.effect_low, edge.effect_high, edge.null95
    interval = "" if low is None or high is None else f" [{low:+.3f}, {high:+.3f}]"
    against = "" if null is None else f", null {null:.3f}"
    return f"{ends}: {edge.effect:+.3f}{interval}, n {edge.n}{against}, {edge.verdict}"
