"""What a file of another tool cannot hold of a graph, under our own name: with it, the graph comes back equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from concept_graphs.graph import ConceptGraph, GraphMeta, told_apart
from concept_graphs.schema import Shown
from concept_graphs.tables import ConceptId, Edge, EdgeTable, Node, NodeTable
from probes.configs import Frozen, validated

EXTRA = "fulcrum"  # the name all of it is under, in whatever format


class GraphExtra(Frozen):
    """What is said of the whole graph."""

    schema_version: Literal[1] = Field(1, description="Version of this object.")
    kind: Literal["concept-graph"] = Field("concept-graph", description="Always concept-graph.")
    meta: GraphMeta = Field(description="What the graph is about and how it was made.")
    examples: dict[ConceptId, Shown] = Field(
        default_factory=dict, description="Concept to its examples, texts, pictures or rows of a world."
    )


def graph_extra(graph: ConceptGraph) -> dict[str, Any]:
    """The object for the whole graph, plain."""
    return GraphExtra(meta=graph.meta, examples=graph.shown).model_dump(mode="json")


def node_extra(node: Node) -> dict[str, Any]:
    """The object for one concept: all but its label, which every format holds itself; defaults are left out."""
    return node.model_dump(mode="json", exclude_defaults=True, exclude={"label"})


def edge_extra(edge: Edge) -> dict[str, Any]:
    """The object for one edge: all but its ends; defaults are left out."""
    return edge.model_dump(mode="json", exclude_defaults=True, exclude={"source", "target"})


def restored(
    extra: Any, nodes: Sequence[tuple[Any, str]], edges: Sequence[tuple[str, str, Any]], *, what: str
) -> ConceptGraph:
    """The graph that was written: `nodes` as (extra, label), `edges` as (source, target, extra).

    Concepts and edges that were removed from the file stay away. Raises `WorkbenchError` for whatever is wrong.
    """
    whole = validated(GraphExtra, extra, what=what)
    rows = [validated(Node, {**_mapping(own), "label": label}, what=f"{what} (nodes)") for own, label in nodes]
    links = [
        validated(Edge, {**_mapping(own), "source": source, "target": target}, what=f"{what} (links)")
        for source, target, own in edges
    ]
    known = {row.id for row in rows}
    shown = told_apart({key: rows for key, rows in whole.examples.items() if key in known})
    return ConceptGraph(whole.meta, NodeTable.from_rows(rows), EdgeTable.from_rows(links), *shown, what=what)


def is_extra(value: Any) -> bool:
    """Whether a value claims to be the object that `graph_extra` makes; whether it is one, `restored` sees."""
    return isinstance(value, Mapping) and value.get("kind") == "concept-graph"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
