"""Graphs of other tools on the command line: what is imported is told from its content, what is exported is bounded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.commands import main
from app.graphs import GraphLibrary
from concept_graphs.exchange.registry import read_graph
from concept_graphs.graph import ConceptGraph
from tests.fixtures.attribution import attribution
from tests.fixtures.graphs import make_graph


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("flags", [[], ["--path"]])
def test_an_attribution_graph_is_imported_and_exported(
    tmp_path: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "theirs.json"
    theirs.write_text(json.dumps(attribution()))
    assert main(["import", "--name", "Texas", *flags, str(theirs), "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["kind"] == "import-graph" and "id of its own" in done["figures"]["notes"][0]
    opened = GraphLibrary().open("texas")
    assert [group.name for group in opened.groups.groups] == ["capitals"]
    again = tmp_path / "again.json"
    assert main(["export", "texas", "--format", "neuronpedia", "--out", str(again), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["concepts"] == len(opened.graph.nodes) and said["groups"] == 1 and said["hidden"] == ""
    back = read_graph(again, "again")
    assert back.graph == opened.graph
    assert [group.members for group in back.groups.groups] == [group.members for group in opened.groups.groups]
    assert main(["export", "texas", "--format", "neuronpedia", "--out", str(again)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_an_export_is_bounded_and_says_what_it_left_out(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = make_graph(20, 12, 5)
    graph.save(home / "graphs" / "toy")
    out = tmp_path / "toy.graphml"
    given = ["export", "toy", "--format", "graphml", "--out", str(out), "--most-concepts", "30", "--most-edges", "10"]
    assert main([*given, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    kept = read_graph(out, "toy").graph
    assert len(kept.nodes) == said["concepts"] == 30 and len(kept.edges) == said["edges"] == 10
    assert "7 concepts" in said["hidden"] and kept.meta.warnings[-1] == said["hidden"]
    weakest = min(abs(edge.effect or 0) / (edge.null95 or 1) for edge in kept.edges)
    inside = set(kept.nodes["id"])
    left = [e for e in graph.edges if {e.source, e.target} <= inside and (e.source, e.target) not in
            {(k.source, k.target) for k in kept.edges}]  # fmt: skip
    assert all(abs(edge.effect or 0) / (edge.null95 or 1) <= weakest for edge in left)


def test_labels_people_gave_go_out(tmp_path: Path, home: Path) -> None:
    graph = make_graph(6, 4, 2)
    graph.save(home / "graphs" / "toy")
    library, concept = GraphLibrary(), graph.nodes["id"][0]
    library.rename("toy", concept, "my own words")
    assert main(["export", "toy", "--format", "neuronpedia", "--out", str(tmp_path / "toy.json")]) == 0
    assert read_graph(tmp_path / "toy.json", "toy").graph.node(concept).label == "my own words"
    assert ConceptGraph.load(home / "graphs" / "toy").node(concept).label == graph.nodes["label"][0]


def test_a_config_of_dictionaries_is_no_graph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"name": "x", "path": [str(tmp_path / "nothing")]}))
    assert main(["import", str(tmp_path / "config.json")]) == 2
    assert "fulcrum import:" in capsys.readouterr().err
