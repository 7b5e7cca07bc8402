"""What the Graph page says of a graph fits whether anything was tested, and what it was made of."""

from __future__ import annotations

from typing import Any

import pytest

from app.facts import stability_rows
from app.graphs import OpenGraph
from app.pages import graph as page
from concept_graphs.graph import ConceptGraph
from concept_graphs.tables import Edge
from tests.fixtures.graphs import make_graph
from tests.fixtures.proposed import joined, latents


def opened(graph: ConceptGraph) -> OpenGraph:
    made: Any = OpenGraph.__new__(OpenGraph)
    object.__setattr__(made, "graph", graph)
    return made


def from_elsewhere() -> ConceptGraph:
    return latents(Edge(source="latents/0", target="latents/1", weight=1.0), joins="any", representation="")


KEPT = latents(joined(0, 1, False, 0.5, 0.2), joined(2, 1, True, 1.0, -0.75))


def test_the_table_counts_proposed_edges_where_none_was_tested() -> None:
    shown = page.table_shown(opened(KEPT))
    assert shown["headers"][-1] == "proposed edges"
    assert [(row[0], row[-1]) for row in shown["data"][:3]] == [
        ("latents/1", "2"), ("latents/0", "1"), ("latents/2", "1"),
    ]  # fmt: skip
    tested = make_graph(6, 4, 2)
    shown = page.table_shown(opened(tested))
    assert shown["headers"][-1] == "confirmed edges"
    assert sum(int(row[-1]) for row in shown["data"]) == 2 * int(tested.confirmed.sum())


@pytest.mark.parametrize("graph", [KEPT, from_elsewhere()], ids=["representation", "elsewhere"])
def test_the_first_steps_promise_no_test_and_no_lever_there_is_not(graph: ConceptGraph) -> None:
    (only,) = page.steps_of(opened(graph))
    assert "none of them tested" in only and "survived" not in only
    steps = page.steps_of(opened(make_graph(6, 4, 2)))
    assert "survived intervention" in steps[0] and len(steps) == 3
    decodes = graph.replace(meta=graph.meta.model_copy(update={"settings": {"decodes": True}}))
    assert len(page.steps_of(opened(decodes))) == (3 if graph.meta.representation else 1)


def test_stability_advises_only_what_can_be_done() -> None:
    advised = [stability_rows(graph)[0][2] for graph in (make_graph(6, 4, 2), KEPT, from_elsewhere())]
    assert ["extract the graph again" in said for said in advised] == [True, False, False]
    assert "representation" in advised[1] and "imported" in advised[2]
