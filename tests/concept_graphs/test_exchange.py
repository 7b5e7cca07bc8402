"""Graphs for and from other tools: our own come back equal, theirs are held whole, hostile files are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import networkx
import numpy as np
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from concept_graphs.exchange.attribution_file import SCHEMA_FILE, read_file
from concept_graphs.exchange.format import Shares
from concept_graphs.exchange.registry import GRAPH_FORMATS, format_of, graph_text, read_graph
from concept_graphs.figure import layered_figure
from concept_graphs.graph import ConceptGraph
from concept_graphs.group_proposals import propose_groups
from concept_graphs.groups import Groups
from concept_graphs.tables import EdgeTable
from concept_graphs.view import ViewSpec
from probes.errors import WorkbenchError
from tests.fixtures.attribution import LAYERS, attribution, node
from tests.fixtures.graphs import HOSTILE, make_graph, make_picture_graph

SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


def said(groups: Groups) -> list[tuple[str, tuple[str, ...]]]:
    return [(group.name, group.members) for group in groups.groups]


def written(tmp_path: Path, content: Any, name: str = "theirs.json") -> Path:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def followed(content: Any) -> None:
    """Whether a file follows the published schema."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.Draft7Validator(SCHEMA).validate(content)


@pytest.mark.parametrize("name", list(GRAPH_FORMATS))
@pytest.mark.parametrize("kind", ["text", "pictures", "imported"])
def test_our_own_export_read_back_is_the_same_graph(tmp_path: Path, name: str, kind: str) -> None:
    if kind == "imported":
        graph, groups, _ = read_graph(written(tmp_path, attribution()), "texas")
    else:
        graph = make_picture_graph() if kind == "pictures" else make_graph(14, 9, 5, seed=3, hostile=True)
        ids = graph.nodes["id"]
        groups = Groups.of([(HOSTILE[0], ids[:3]), ("two", [ids[4], ids[-1]])])
    suffix = GRAPH_FORMATS.load(name).suffix
    path = written(tmp_path, graph_text(graph, groups, name), f"ours{suffix}")
    assert format_of(path) == name
    back = read_graph(path, "whatever")
    assert back.graph == graph and said(back.groups) == said(groups) and not back.notes
    assert graph_text(back.graph, back.groups, name) == path.read_text(encoding="utf-8")


def test_an_export_follows_the_schema_and_its_ids_are_unique() -> None:
    graph = make_graph(14, 9, 5, seed=3, hostile=True)
    content = json.loads(graph_text(graph, propose_groups(graph), "neuronpedia"))
    followed(content)
    ids = [one["node_id"] for one in content["nodes"]]
    assert len(set(ids)) == len(graph.nodes) == len(content["nodes"])
    assert {one["feature_type"] for one in content["nodes"]} == {"concept"}
    assert [one["layer"] for one in content["nodes"]] == [str(level) for level in graph.level_index]
    tested = graph.edges["verdict"].index("composed")
    assert content["links"][tested]["weight"] == -graph.edges["effect"][tested]
    reach = [one["influence"] for one in content["nodes"]]
    assert all(0 < one <= 1 for one in reach) and max(reach) == pytest.approx(1)


def test_what_is_edited_elsewhere_comes_back_edited(tmp_path: Path) -> None:
    graph = make_graph(8, 6, 3, seed=2)
    content = json.loads(graph_text(graph, Groups(), "neuronpedia"))
    first = content["nodes"][0]
    first["clerp"] = "renamed elsewhere"
    gone = content["nodes"].pop()["node_id"]
    content["links"] = [one for one in content["links"] if gone not in (one["source"], one["target"])]
    content["qParams"]["supernodes"] = [["made elsewhere", first["node_id"], content["nodes"][1]["node_id"]]]
    back = read_graph(written(tmp_path, content), "back")
    assert back.graph.nodes["label"] == ["renamed elsewhere", *graph.nodes["label"][1:-1]]
    assert len(back.graph.edges) == len(content["links"]) < len(graph.edges)
    assert said(back.groups) == [("made elsewhere", tuple(graph.nodes["id"][:2]))]


def test_a_circuit_tracer_file_is_held_whole(tmp_path: Path) -> None:
    content = attribution()
    followed(content)
    graph, groups, notes = read_graph(written(tmp_path, content), "texas")
    assert len(graph.nodes) == len(content["nodes"])
    assert set(graph.edges["verdict"]) == {"untested"} and graph.meta.joins == "any" and graph.meta.probe == ""
    assert [level.name for level in graph.meta.levels] == [
        "tokens",
        *(f"layer-{at}" for at in range(LAYERS)),
        "outputs",
    ]
    by_id = {one["node_id"]: concept for one, concept in zip(graph.nodes["origin"], graph.nodes["id"], strict=True)}
    assert len(by_id) == len(content["nodes"])
    kept = graph.meta.settings["attribution"]["unclear_links"]
    assert len(graph.edges) + len(kept) == len(content["links"])
    for link in content["links"]:
        if "0_3_5" not in (link["source"], link["target"]):
            assert graph.edge(by_id[link["source"]], by_id[link["target"]]).weight == link["weight"]
    assert said(groups) == [("capitals", (by_id[content["qParams"]["supernodes"][0][1]],
                                          by_id[content["qParams"]["supernodes"][0][2]]))]  # fmt: skip
    assert any("1 member of supernodes" in note for note in notes)
    assert graph.node(by_id["0_1_6"]).label == "error at ' Texas'"
    unnamed = next(one for one in graph.nodes if one.label.startswith("feature "))
    assert unnamed.label.split()[1] == unnamed.origin["node_id"].split("_")[1]  # the number, never the code
    assert 0 < graph.meta.figures["replacement"] < 1 and 0 < graph.meta.figures["completeness"] < 1
    drawn = layered_figure(graph, ViewSpec(show_untested=True))
    assert drawn["layout"]["meta"]["shown_nodes"] > 10
    loaded = ConceptGraph.load(graph.save(tmp_path / "saved"))
    assert loaded == graph


def test_the_collision_of_ids_is_repaired_and_told(tmp_path: Path) -> None:
    content = attribution()
    graph, _, notes = read_graph(written(tmp_path, content), "texas")
    origins = {one["node_id"]: one for one in graph.nodes["origin"]}
    assert origins["0_3_5"]["feature_type"] == "cross layer transcoder"
    assert origins["error_3_5"]["feature_type"] == "mlp reconstruction error"
    assert any("1 error has the id of a feature of layer 0, such as 0_3_5" in note for note in notes)
    assert any("1 error has the id" in warning for warning in graph.meta.warnings)
    concept = dict(zip(origins, graph.nodes["id"], strict=True))
    into = [link for link in content["links"] if link["target"] == "0_3_5"]
    assert [edge.source for edge in graph.children(concept["0_3_5"])] and not graph.children(concept["error_3_5"])
    assert len(graph.children(concept["0_3_5"])) == len(into)
    ups = {name: {edge.target for edge in graph.parents(concept[name])} for name in ("0_3_5", "error_3_5")}
    depth = {key: graph.level_of(graph.node(key).level) for key in ups["0_3_5"] | ups["error_3_5"]}
    assert {depth[key] for key in ups["error_3_5"]} <= {5, 6} and min(depth[key] for key in ups["0_3_5"]) == 2
    # Both go into every layer above 3 here, the feature's link first: nothing is unclear, and weights tell them apart.
    target = next(key for key in ups["error_3_5"] if depth[key] == 5)
    name = next(n for n, key in concept.items() if key == target)
    weights = [one["weight"] for one in content["links"] if (one["source"], one["target"]) == ("0_3_5", name)]
    assert [graph.edge(concept[n], target).weight for n in ("0_3_5", "error_3_5")] == weights


def test_a_link_that_may_be_of_either_is_kept_aside_and_written_again(tmp_path: Path) -> None:
    content = attribution()
    outputs = f"{LAYERS}_9001_7"
    twice = [one for one in content["links"] if (one["source"], one["target"]) == ("0_3_5", outputs)]
    assert len(twice) == 2
    content["links"].remove(twice[1])
    graph, groups, notes = read_graph(written(tmp_path, content), "texas")
    assert graph.meta.settings["attribution"]["unclear_links"] == [twice[0]]
    assert any("1 link out of such an id may be the feature's or the error's" in note for note in notes)
    again = json.loads(graph_text(graph, groups, "neuronpedia"))
    followed(again)
    assert twice[0] in again["links"]


def test_their_file_goes_out_with_the_names_it_came_with(tmp_path: Path) -> None:
    content = attribution(collides=False)
    again = json.loads(graph_text(*read_graph(written(tmp_path, content), "texas")[:2], "neuronpedia"))
    followed(again)
    for before, after in zip(content["nodes"], again["nodes"], strict=True):
        assert {key: after[key] for key in before if key != "clerp"} == {
            k: v for k, v in before.items() if k != "clerp"
        }
        assert after["clerp"] == before["clerp"] or not before["clerp"]
    assert [{key: one[key] for key in ("source", "target", "weight")} for one in again["links"]] == content["links"]
    assert again["qParams"]["pinnedIds"] == content["qParams"]["pinnedIds"]
    assert {key: again["metadata"][key] for key in content["metadata"]} == content["metadata"]


def test_a_file_can_be_pruned_by_influence_when_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, attribution(features=60))
    whole = read_graph(path, "whole").graph
    pruned, _, notes = read_graph(path, "pruned", Shares(0.6, 0.8))
    assert len(pruned.nodes) < len(whole.nodes) and 0 < len(pruned.edges) < len(whole.edges)
    gone = len(whole.nodes) - len(pruned.nodes), len(whole.edges) - len(pruned.edges)
    assert any(f"{gone[0]} nodes and {gone[1]} links left out" in note for note in notes)
    for name in ("replacement", "completeness"):  # of the whole file, which is what they are about
        assert pruned.meta.figures[name] == whole.meta.figures[name]
    labels = [one["feature_type"] for one in pruned.nodes["origin"]]
    assert labels.count("embedding") == 8 and labels.count("logit") == 2


def test_a_large_file_is_read_without_an_object_for_each_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """343,000 links took minutes: a row model of each in every check, and each default asked of pydantic."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("one link at a time")

    monkeypatch.setattr(EdgeTable, "row", refuse)
    monkeypatch.setattr(FieldInfo, "get_default", refuse)
    graph = read_graph(written(tmp_path, attribution()), "large").graph
    assert set(graph.edges["verdict"]) == {"untested"}
    assert not isinstance(read_file(tmp_path / "theirs.json").links[0], BaseModel)
    assert graph.nodes["promoted"][0] is not graph.nodes["promoted"][1], "no two concepts share a list"


def changed(*place: Any, to: Any) -> Callable[[dict[str, Any]], Any]:
    def change(content: dict[str, Any]) -> Any:
        inside: Any = content
        for key in place[:-1]:
            inside = inside[key]
        inside[place[-1]] = to
        return content

    return change


def _deep(content: dict[str, Any]) -> str:
    return json.dumps(content)[:-1] + ', "more": ' + "[" * 100_000 + "]" * 100_000 + "}"


def _twin(content: dict[str, Any]) -> Any:
    content["nodes"].append(dict(content["nodes"][10]))
    return content


HOSTILE_FILES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "not JSON": (lambda _: '{"metadata": ', "not valid JSON"),
    "NaN": (lambda content: json.dumps(changed("links", 0, "weight", to=float("nan"))(content)), "NaN"),
    "infinite": (lambda content: json.dumps(content).replace('"weight": ', '"weight": 1e999, "w": ', 1), "too large"),
    "hidden infinity": (lambda content: json.dumps(content)[:-1] + ', "more": [1e999]}', "too large"),
    "deep": (_deep, "not valid JSON"),
    "deep inside": (changed("nodes", 0, "more", to=json.loads("[" * 400 + "]" * 400)), "node"),
    "unknown node": (changed("links", 0, "source", to="9_9_9"), "'9_9_9', which the file does not have"),
    "id twice": (_twin, "is given to 2 nodes"),
    "link twice": (lambda c: {**c, "links": [*c["links"], c["links"][0]]}, "is given twice"),
    "itself": (lambda c: changed("links", 0, to={"source": "E_100_0", "target": "E_100_0", "weight": 1})(c), "itself"),
    "no nodes": (changed("nodes", to=[]), "nodes"),
    "no list": (changed("nodes", to={}), "no list of nodes"),
    "a number for text": (changed("nodes", 0, "node_id", to=7), "node_id"),
    "a fraction for a place": (changed("nodes", 0, "ctx_idx", to=0.5), "ctx_idx"),
    "a long id": (changed("nodes", 0, "node_id", to="x" * 10_000), "node_id"),
    "many nodes": (lambda c: {**c, "nodes": [c["nodes"][0]] * 50_001}, "50,001 nodes, more than 50,000"),
    "a list": (lambda _: "[]", "no known format"),
    "an empty file": (lambda _: "", "no known format"),
    "a foreign object": (lambda _: '{"kind": "import", "config": {}}', "no known format"),
    "our name, another version": (
        changed("metadata", "fulcrum", to={"kind": "concept-graph", "schema_version": 99}),
        "schema_version",
    ),
    "layers without end": (
        lambda c: {**c, "links": [], "nodes": [node(f"{at}_1_1", "x", at, 1) for at in range(600)]},
        "600 layers",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE_FILES)
def test_hostile_files_are_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    change, why = HOSTILE_FILES[kind]
    path = written(tmp_path, change(attribution()))
    with pytest.raises(WorkbenchError) as refused:
        read_graph(path, "hostile")
    assert why in str(refused.value) and len(str(refused.value)) < 600


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("concept_graphs.exchange.registry.MOST_BYTES", 1000)
    with pytest.raises(WorkbenchError, match="larger than"):
        read_graph(written(tmp_path, attribution()), "large")


def test_a_circle_is_held_and_its_influence_called_unknown(tmp_path: Path) -> None:
    content = attribution()
    features = [one for one in content["nodes"] if one["feature_type"] == "cross layer transcoder"][:2]
    ends = [one["node_id"] for one in features]
    content["links"] = [
        {"source": ends[0], "target": ends[1], "weight": 1.0},
        {"source": ends[1], "target": ends[0], "weight": 1.0},
    ]
    path = written(tmp_path, content)
    graph, _, notes = read_graph(path, "circle")
    assert len(graph.edges) == 2 and any("feed each other in a circle" in note for note in notes)
    assert "replacement" not in graph.meta.figures
    with pytest.raises(WorkbenchError, match="in a circle"):
        read_graph(path, "circle", Shares(0.8, 0.98))


def test_a_graph_of_networkx_comes_in_with_its_weights(tmp_path: Path) -> None:
    theirs = networkx.DiGraph(name="by hand")
    for key, data in (("a", {"label": "whale"}), ("b", {}), ("c", {"label": "ship", "group": "sea"})):
        theirs.add_node(key, **data)
    theirs.add_edge("a", "b", weight=0.5)
    theirs.add_edge("a", "c", weight=-2.0)
    theirs.add_edge("b", "c")
    networkx.write_graphml(theirs, tmp_path / "theirs.graphml")
    graph, groups, notes = read_graph(tmp_path / "theirs.graphml", "theirs")
    assert graph.nodes["label"] == ["whale", "b", "ship"] and not notes
    assert graph.level_index.tolist() == [0, 1, 2] and graph.edges["weight"] == [0.5, -2.0, 1.0]
    assert graph.edges["verdict"] == ["untested"] * 3
    assert said(groups) == [("sea", (graph.nodes["id"][2],))]


def test_our_graphml_is_what_networkx_reads(tmp_path: Path) -> None:
    graph = make_graph(8, 6, 3, seed=2)
    found = networkx.read_graphml(written(tmp_path, graph_text(graph, propose_groups(graph), "graphml"), "o.graphml"))
    assert set(found.nodes) == set(graph.nodes["id"])
    ours = graph.networkx()
    for source, target, data in ours.edges(data=True):
        assert found.edges[source, target]["verdict"] == data["verdict"]
        if data["effect"] is not None:
            assert np.isclose(found.edges[source, target]["effect"], data["effect"])
    assert found.nodes[graph.nodes["id"][0]]["label"] == graph.nodes["label"][0]


HOSTILE_XML = {
    "entities": ('<!DOCTYPE g [<!ENTITY a "x">]><graphml></graphml>', "document type or entities"),
    "cut off": ('<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="directed">', "networkx"),
    "empty": ('<graphml xmlns="http://graphml.graphdrawing.org/xmlns"/>', "networkx"),
    "no node": (
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="directed"/></graphml>',
        "no node",
    ),
    "not a number": (
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><key id="w" for="edge" attr.name="weight" '
        'attr.type="double"/><graph edgedefault="directed"><node id="a"/><node id="b"/><edge source="a" target="b">'
        '<data key="w">nan</data></edge></graph></graphml>',
        "not a finite number",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE_XML)
def test_hostile_graphml_is_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    text, why = HOSTILE_XML[kind]
    with pytest.raises(WorkbenchError) as refused:
        read_graph(written(tmp_path, text, "x.graphml"), "x")
    assert why in str(refused.value)


def test_the_package_holds_the_schema() -> None:
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    for missing in ("metadata", "qParams", "nodes", "links"):
        broken = {key: value for key, value in attribution().items() if key != missing}
        with pytest.raises(jsonschema.ValidationError):
            followed(broken)
