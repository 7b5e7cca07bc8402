"""The graph's format: round trips lose nothing, the published schema holds, whatever is damaged is refused."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from concept_graphs.graph import ConceptGraph, Edge, EdgeTable, NodeTable
from concept_graphs.schema import SCHEMA_FILE, schema_text
from concept_graphs.tables import CONFIRMED
from probes.errors import WorkbenchError
from tests.fixtures.graphs import HOSTILE, make_graph


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved hostile graph. Tests that change it work on a copy."""
    return make_graph(14, 9, 5, seed=3, hostile=True).save(tmp_path_factory.mktemp("graphs") / "made")


def test_a_round_trip_loses_nothing(saved: Path, tmp_path: Path) -> None:
    graph = make_graph(14, 9, 5, seed=3, hostile=True)
    loaded = ConceptGraph.load(saved)
    assert loaded == graph
    assert loaded.examples == graph.examples and set(HOSTILE) & set(loaded.nodes["label"])
    loaded.save(tmp_path)
    for name in ("graph.json", "examples.json"):
        assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()
    other = make_graph(14, 9, 5, seed=4, hostile=True)
    assert other != graph


def test_any_finite_number_survives(tmp_path: Path) -> None:
    graph = make_graph(6, 4, 3, seed=1)
    numbers = np.random.default_rng(0).standard_normal(len(graph.edges)) * 10.0 ** np.arange(len(graph.edges))
    changed = ConceptGraph(graph.meta, graph.nodes, graph.edges.replace(weight=numbers), graph.examples)
    assert ConceptGraph.load(changed.save(tmp_path)).edges["weight"] == numbers.tolist()


def test_saved_graphs_follow_the_published_schema(saved: Path) -> None:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    content = json.loads((saved / "graph.json").read_text())
    jsonschema.validate(content, schema)
    examples = json.loads((saved / "examples.json").read_text())
    inner = {**schema["$defs"]["ExamplesFile"], "$defs": schema["$defs"]}
    jsonschema.validate(examples, inner)
    for change in ({"schema_version": 2}, {"more": 1}, {"nodes": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(content | change, schema)


def test_the_published_schema_is_that_of_the_code() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run python -m concept_graphs.schema"


def _set(*place: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        inside: Any = content
        for key in place[:-1]:
            inside = inside[key]
        inside[place[-1]] = to

    return change


def _longer(content: dict[str, Any]) -> None:
    content["edges"]["weight"].append(0.0)


def _twice(content: dict[str, Any]) -> None:
    for column in content["nodes"].values():
        column.append(column[0])


def _upside_down(content: dict[str, Any]) -> None:
    edges = content["edges"]
    edges["source"][0], edges["target"][0] = edges["target"][0], edges["source"][0]


def _believed(content: dict[str, Any]) -> None:
    """An edge is called composed although its effect is inside the null."""
    edges = content["edges"]
    at = edges["verdict"].index("composed")
    edges["null95"][at] = 1e6


DAMAGE: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "unknown version": (_set("schema_version", to=2), "schema_version"),
    "another kind": (_set("kind", to="probe"), "kind"),
    "no nodes": (_set("nodes", to=None), "no nodes"),
    "unknown field": (_set("meta", "colour", to="red"), "colour"),
    "unknown column": (_set("nodes", "colour", to=[]), "colour"),
    "not finite": (_set("edges", "effect", 0, to=math.inf), "not valid JSON"),
    "not a number": (_set("nodes", "typical", 0, to=math.nan), "not valid JSON"),
    "edge to a missing node": (_set("edges", "target", 0, to="middle/99999"), "unknown concept middle/99999"),
    "id of a path": (_set("nodes", "id", 0, to="../../etc/passwd"), "id"),
    "share above one": (_set("nodes", "frequency", 0, to=1.5), "frequency"),
    "columns of two lengths": (_longer, "rows and column"),
    "a concept twice": (_twice, "appears twice"),
    "an edge downwards": (_upside_down, "directly above"),
    "a verdict against its numbers": (_believed, "within the null"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_no_graph_is_refused_in_one_sentence(saved: Path, tmp_path: Path, name: str) -> None:
    change, why = DAMAGE[name]
    content = json.loads((saved / "graph.json").read_text())
    change(content)
    (tmp_path / "graph.json").write_text(json.dumps(content))
    with pytest.raises(WorkbenchError, match=why) as refused:
        ConceptGraph.load(tmp_path)
    assert "\n" not in str(refused.value) and "Traceback" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"graph"', "[" * 100_000])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "graph.json").write_text(text)
    with pytest.raises(WorkbenchError):
        ConceptGraph.load(tmp_path)


@pytest.mark.parametrize("name", ["graph.json", "examples.json"])
def test_a_file_that_is_not_the_manifests_is_refused(saved: Path, tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(saved, tmp_path / "copy"))
    file = copy / name
    file.write_text(file.read_text() + " ")
    with pytest.raises(WorkbenchError, match="manifest"):
        ConceptGraph.load(copy)
    same_size = bytearray((saved / name).read_bytes())
    same_size[-2] ^= 1
    file.write_bytes(same_size)
    with pytest.raises(WorkbenchError, match="hash"):
        ConceptGraph.load(copy)
    file.unlink()
    with pytest.raises(WorkbenchError, match="missing"):
        ConceptGraph.load(copy)


def test_examples_must_belong_to_the_graph(saved: Path, tmp_path: Path) -> None:
    shutil.copy(saved / "graph.json", tmp_path)
    example = {"document": "d", "position": 0, "tokens": ["a"], "values": [1.0], "peak": 0}
    key = json.loads((saved / "graph.json").read_text())["nodes"]["id"][0]
    for content in ({"low/99999": [example]}, {key: [example | {"peak": 1}]}, {key: [example | {"values": []}]}):
        (tmp_path / "examples.json").write_text(json.dumps(content))
        with pytest.raises(WorkbenchError, match="example"):
            ConceptGraph.load(tmp_path)


def test_neighbours_are_those_of_the_edge_table() -> None:
    graph = make_graph(20, 12, 6, seed=2)
    rows = list(graph.edges)
    for node in graph.nodes:
        for found, end in ((graph.parents(node.id), "source"), (graph.children(node.id), "target")):
            expected = [edge for edge in rows if getattr(edge, end) == node.id]
            assert sorted(map(repr, found)) == sorted(map(repr, expected))
            order = [(not edge.confirmed, -abs(edge.effect or 0.0)) for edge in found]
            assert order == sorted(order)
    assert graph.confirmed.sum() == sum(edge.verdict in CONFIRMED for edge in rows)


def test_unknown_ids_are_one_sentence() -> None:
    graph = make_graph(4, 3, 2)
    known = graph.nodes["id"][0]
    for ask in (lambda: graph.node("low/99999"), lambda: graph.edge(known, known), lambda: graph.parents("<b>")):
        with pytest.raises(WorkbenchError, match="There is no"):
            ask()
    assert "low/99999" not in graph and known in graph


def test_the_networkx_view_holds_everything() -> None:
    graph = make_graph(14, 9, 5, seed=3, hostile=True)
    view = graph.networkx()
    assert set(view.nodes) == set(graph.nodes["id"])
    assert set(view.edges) == set(zip(graph.edges["source"], graph.edges["target"], strict=True))
    for edge in graph.edges:
        assert Edge(source=edge.source, target=edge.target, **view.edges[edge.source, edge.target]) == edge
    for node in graph.nodes:
        assert view.nodes[node.id]["label"] == node.label and view.nodes[node.id]["level"] == node.level
    levels = {name: at for at, name in enumerate(("low", "middle", "high"))}
    assert all(levels[view.nodes[a]["level"]] + 1 == levels[view.nodes[b]["level"]] for a, b in view.edges)


def test_tables_take_arrays_and_refuse_what_is_not_finite() -> None:
    graph = make_graph(6, 4, 3)
    edges = graph.edges.replace(effect=np.full(len(graph.edges), np.nan))
    assert edges["effect"] == [None] * len(edges) and np.isnan(edges.array("effect")).all()
    with pytest.raises(WorkbenchError, match="finite"):
        graph.edges.replace(effect=np.full(len(graph.edges), np.inf))
    with pytest.raises(WorkbenchError, match="finite"):
        NodeTable({**graph.nodes.as_columns(), "typical": [math.inf] * len(graph.nodes)})
    with pytest.raises(ValueError):
        graph.edges.array("weight")[0] = 1.0
    assert len(EdgeTable.from_rows([])) == 0
