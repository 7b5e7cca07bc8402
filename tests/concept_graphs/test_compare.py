"""Two graphs held against each other, where what became of each concept and edge is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from app.commands import main
from app.graphs import GraphLibrary
from app.pages.comparing import compared, partners
from concept_graphs.compare import assigned, compare
from concept_graphs.comparison import CompareConfig, ComparedEdge
from concept_graphs.comparison_words import changes, summary
from concept_graphs.graph import ConceptGraph
from concept_graphs.schema import GraphMeta
from concept_graphs.tables import EdgeTable, NodeTable
from concept_graphs.text import number
from probes.artefacts import artefact_path
from probes.errors import WorkbenchError
from tests.fixtures.graphs import make_graph


def renamed(graph: ConceptGraph, drop: set[str], shift: int = 1) -> tuple[ConceptGraph, dict[str, str]]:
    """The graph as another probe would have it: other indices, some concepts gone; and the new id of each."""
    sizes = {level.name: level.n_latents for level in graph.meta.levels}
    new = {n.id: f"{n.level}/{(n.index + shift) % sizes[n.level]}" for n in graph.nodes}
    nodes = [
        n.model_copy(update={"id": new[n.id], "index": int(new[n.id].partition("/")[2]), "companions": []})
        for n in graph.nodes
        if n.id not in drop
    ]
    edges = [
        e.model_copy(update={"source": new[e.source], "target": new[e.target]})
        for e in graph.edges
        if not {e.source, e.target} & drop
    ]
    meta = GraphMeta.model_validate({**graph.meta.model_dump(), "name": "other", "probe": "no-such-probe"})
    shown = {new[key]: rows for key, rows in graph.examples.items() if key not in drop}
    return ConceptGraph(meta, NodeTable.from_rows(nodes), EdgeTable.from_rows(edges), shown), new


def test_a_graph_is_kept_whole_in_itself() -> None:
    graph = make_graph()
    found = compare(graph, graph)
    assert {row.by for row in found.levels} == {"index"}
    assert not (found.lost or found.new or found.lost_edges or found.new_edges)
    assert found.concept_agreement == 1.0 and found.edge_agreement == 1.0
    assert len(found.kept_edges) == int(graph.confirmed.sum())


def test_what_was_taken_out_is_lost_and_the_other_way_round_new() -> None:
    graph = make_graph()
    drop = {n.id for at, n in enumerate(graph.nodes) if at % 7 == 0}
    other, new = renamed(graph, drop)
    found = compare(graph, other)
    assert {row.by for row in found.levels} == {"shown"}
    assert {row.a: row.b for row in found.kept} == {key: new[key] for key in graph.nodes["id"] if key not in drop}
    assert {row.id for row in found.lost} == drop and not found.new
    gone = [e for e in graph.edges if e.confirmed and {e.source, e.target} & drop]
    assert {(e.source, e.target) for e in found.lost_edges} == {(e.source, e.target) for e in gone}
    assert {e.there for e in found.lost_edges} == {"no concept"} and found.edge_agreement == 1.0
    back = compare(other, graph)
    assert {row.id for row in back.new} == drop and not back.lost
    assert len(back.new_edges) == len(gone) and len(back.kept_edges) == len(found.kept_edges)
    lines = changes(found)
    assert sum(row.kind == "lost" for row in lines) == len(drop) + len(gone)
    assert sum(row.what == "edge" for row in lines) == int(graph.confirmed.sum())
    assert f"{len(found.kept_edges)} confirmed edges kept" in summary(found)[-1]


def test_an_edge_that_no_longer_survives_is_lost_and_says_so() -> None:
    graph = make_graph()
    other, new = renamed(graph, set())
    chosen = next(e for e in graph.edges if e.confirmed)
    rows = [
        e.model_copy(update={"verdict": "unsupported"})
        if (e.source, e.target) == (new[chosen.source], new[chosen.target])
        else e
        for e in other.edges
    ]
    other = ConceptGraph(other.meta, other.nodes, EdgeTable.from_rows(rows), other.examples)
    (lost,) = compare(graph, other).lost_edges
    assert (lost.source, lost.target, lost.there) == (chosen.source, chosen.target, "unsupported")
    assert lost.effect_a == lost.effect_b == chosen.effect
    (row,) = (row for row in changes(compare(graph, other)) if row[:2] == ("edge", "lost"))
    assert row.first == f"{chosen.source} → {chosen.target}, effect {number(chosen.effect)}"
    assert row.second == f"effect {number(chosen.effect)}"


@pytest.mark.parametrize("effect", [-20.61, 3.5, 0.0, None])
def test_every_number_of_an_edge_says_what_it_is_and_has_a_real_minus_sign(effect: float | None) -> None:
    edge = ComparedEdge(source="low/1", target="middle/2", effect_a=effect, effect_b=effect, there="untested")
    found = compare(make_graph(), make_graph())
    said = "" if effect is None else f"effect {number(effect)}"
    for kind in ("kept", "lost", "new"):
        one = edge.model_copy(update={} if kind == "kept" else {"effect_a" if kind == "new" else "effect_b": None})
        fields = {f"{name}_edges": [one] if name == kind else [] for name in ("kept", "lost", "new")}
        (row,) = (row for row in changes(found.model_copy(update=fields)) if row.what == "edge")
        named, other = (row.second, row.first) if kind == "new" else (row.first, row.second)
        assert row.kind == kind and named == ", ".join(filter(None, ["low/1 → middle/2", said]))
        assert other == (said if kind == "kept" else "") and "-" not in named + other


def test_a_matching_is_the_best_whole_and_none_below_the_least() -> None:
    similarity = np.array([[0.9, 0.85], [0.88, 0.1]])
    assert assigned(similarity, 0.7) == [(0, 1), (1, 0)]
    assert assigned(similarity, 0.87) == [(0, 0)]
    assert assigned(np.zeros((0, 3)), 0.5) == []


def test_what_cannot_be_compared_is_one_sentence() -> None:
    graph = make_graph()
    one = graph.meta.levels[0].model_copy(update={"name": "alone"})
    meta = GraphMeta.model_validate({**graph.meta.model_dump(), "levels": [one.model_dump()]})
    with pytest.raises(WorkbenchError, match="levels low, middle, high, the other alone"):
        compare(graph, ConceptGraph(meta, NodeTable.from_rows([]), EdgeTable.from_rows([])))
    other, _ = renamed(graph, set())
    with pytest.raises(WorkbenchError, match="match by what is shown"):
        compare(graph, other, CompareConfig(by="decoder"))


def test_the_command_prints_it_for_people_and_as_json(data_home: object, capsys: pytest.CaptureFixture[str]) -> None:
    graph = make_graph(seed=3)
    other, _ = renamed(graph, {graph.nodes["id"][0]})
    for name, one in (("compare-one", graph), ("compare-other", other)):
        one.save(artefact_path("graph", name))
    assert main(["graph", "compare", "compare-one", "compare-other", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in said["lost"]] == [graph.nodes["id"][0]] and said["edges"] == "confirmed"
    assert main(["graph", "compare", "compare-one", "compare-other", "--edges", "all", "--top", "2"]) == 0
    out = capsys.readouterr().out
    assert "1 lost, 0 new" in out and "and " in out
    assert main(["graph", "compare", "compare-one", "nothing-there"]) == 2


def test_the_page_says_the_same_and_names_the_command(data_home: object) -> None:
    graph = make_graph(seed=4)
    other, _ = renamed(graph, set(graph.nodes["id"][:2]))
    for name, one in (("page-one", graph), ("page-other", other)):
        one.save(artefact_path("graph", name))
    said, rows = compared(GraphLibrary(), "page-one", "page-other")
    found = compare(graph, other)
    assert said.splitlines() == [
        *summary(found),
        "The same on the command line: fulcrum graph compare page-one page-other",
    ]
    assert [row[1] for row in rows if row[0] == "concept"].count("− lost") == 2
    assert len(rows) == len(changes(found)) and {len(row) for row in rows} == {5}
    assert compared(GraphLibrary(), "page-one", "") == ("", [])
    assert compared(GraphLibrary(), "page-one", "page-one") == ("", []), "a graph is no partner of its own"
    for ref in ("page-one", "page-other", "bundled/text"):
        others = partners(GraphLibrary(), ref)
        assert ref not in others and {*others, ref} == set(GraphLibrary().names())
    refused, none = compared(GraphLibrary(), "page-one", "nothing-there")
    assert "nothing-there" in refused and not none
