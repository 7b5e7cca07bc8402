"""What is said of edges fits how they were tested, and what the rule lets through by chance stands beside them."""

from __future__ import annotations

import pytest

from app.evidence_words import chance_of, words_of
from concept_graphs.figure import ViewSpec, layered_figure
from concept_graphs.graph import ConceptGraph
from tests.fixtures.graphs import make_graph, make_picture_graph


def _activated(graph: ConceptGraph) -> ConceptGraph:
    settings = {**graph.meta.settings, "evidence": {"intervention": "activate"}}
    meta = graph.meta.model_copy(update={"settings": settings})
    return ConceptGraph(meta, graph.nodes, graph.edges, graph.examples, graph.pictures)


def test_each_way_of_testing_has_its_own_words() -> None:
    text, pictures = make_graph(), make_picture_graph()
    given = _activated(pictures)
    assert words_of(text).counted == "chunks" and "held" in words_of(text).beside
    assert "ablated" in words_of(pictures).card and "removed" in words_of(pictures).table
    assert "without a prompt" in words_of(given).card and "removed" not in words_of(given).table


def test_what_supports_raises_when_it_is_given_and_lowers_when_it_is_taken() -> None:
    made = make_picture_graph()
    surely = {"effect": -1.0, "effect_low": -1.5, "effect_high": -0.5, "null95": 0.1, "verdict": "generated"}
    edges = made.edges.replace(**{name: [value] * len(made.edges) for name, value in surely.items()})
    lowering = ConceptGraph(made.meta, made.nodes, edges, made.examples, made.pictures)
    drawn = [
        {trace["name"] for trace in layered_figure(graph, ViewSpec())["data"] if ", " in trace.get("name", "")}
        for graph in (lowering, _activated(lowering))
    ]
    assert drawn == [{"generated, supports"}, {"generated, inhibits"}]


@pytest.mark.parametrize(("counts", "said"), [([(40, 1), (60, 0)], "Of 100 random"), ([], ""), ([(0, 0)], "")])
def test_chance_is_said_where_it_was_measured(counts: list[tuple[int, int]], said: str) -> None:
    nulls = {str(at): {"placebos": of, "placebos_confirmed": passed} for at, (of, passed) in enumerate(counts)}
    found = chance_of(make_graph().meta.model_copy(update={"nulls": nulls}))
    assert found.startswith(said) and bool(found) == bool(said)
