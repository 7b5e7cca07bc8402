"""The image-graph suite: counts, agreement and edges of a small graph whose captions came with labels."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from app.commands import main
from app.worker import run_job
from concept_graphs.graph import ConceptGraph, Edge, EdgeTable, GraphMeta, LevelRow, Node, NodeTable
from probes.hierarchy.probe import open_probe
from tests.fixtures.image_stores import image_store

SMALL: dict[str, Any] = {"n_latents": 48, "k": 4, "dead_after": 3000, "optimiser": {"steps": 30, "batch": 96}}
MAPS: dict[str, Any] = {
    "rows": 2000, "minimum_rows": 10, "optimiser": {"steps": 30, "batch": 128, "learning_rate": 0.03},
}  # fmt: skip


THINGS = {"shapes": ("square", "circle"), "signs": ("cross", "star"), "marks": ("dot", "bar")}


def captions(file: Path) -> str:
    """Two pictures of every thing, with its group."""
    rows = [
        {"text": f"a {thing} {side}", "labels": {"concept": thing, "group": group, "style": side}}
        for group, things in {
            "shapes": ("square", "circle"),
            "signs": ("cross", "star"),
            "marks": ("dot", "bar"),
        }.items()
        for thing in things
        for side in ("left", "right")
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConceptGraph:
    """A graph of busy latents, joined in a row each and counted as confirmed: tested is what is made of them."""
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    image_store(tmp_path, prompts=captions(tmp_path / "captions.jsonl"), images=1, held_out=0.5)
    bands = {"low": SMALL | {"depth": 0.1}, "middle": SMALL | {"depth": 0.5}, "high": SMALL | {"depth": 0.9}}
    run_job("train", name="bands", store="images", maps=MAPS, **bands)
    found = open_probe("bands")
    levels = [
        LevelRow(
            name=level.name, hook_point=str(level.record.point.point), row="cell", n_latents=48, noise=level.where.noise
        )
        for level in found.levels
    ]
    busy = {level.name: level.statistics["frequency"].topk(6).indices.tolist() for level in found.levels}
    nodes = [
        Node(id=f"{name}/{at}", level=name, index=at, label=str(at), label_tokens=[], frequency=0.1, typical=1.0)
        for name, latents in busy.items()
        for at in latents
    ]
    tested = {"effect": 1.0, "effect_low": 0.5, "effect_high": 1.5, "n": 3, "null95": 0.2, "null995": 0.3}
    edges = [
        Edge(source=f"{low}/{a}", target=f"{high}/{b}", verdict="generated", **tested)
        for low, high in pairwise(busy)
        for a, b in zip(busy[low], busy[high], strict=True)
    ]
    meta = GraphMeta(
        name="bands", title="bands", subject=str(tmp_path / "pipeline"), probe="bands", store="images",
        direction="generates", levels=levels,
    )  # fmt: skip
    made = ConceptGraph(meta, NodeTable.from_rows(nodes), EdgeTable.from_rows(edges))
    made.save(tmp_path / "graphs" / "bands")
    return made


def test_agreement_of_a_graph_beside_its_baselines(graph: ConceptGraph, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["evaluate", "image-graph", "--image_graph.graph", "bands", "--image_graph.draws", "20", "--json"]
    assert main([*asked, "--image_graph.kinds", "group,style"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    assert rows["image-graph.concepts"]["value"] == len(graph.nodes)
    assert rows["image-graph.confirmed"]["value"] == rows["image-graph.confirmed"]["n"] == len(graph.edges)
    assert rows["image-graph.communities"]["n"] == len(graph.nodes)
    for kind in ("group", "style"):
        for arm in ("graph", "co-activation", "flat", "dealt-anew"):
            row = rows[f"image-graph.{kind}.{arm}"]
            assert 0 <= row["low"] <= row["high"] <= 1
        mine, dealt = (rows[f"image-graph.{kind}.{arm}"] for arm in ("graph", "dealt-anew"))
        assert mine["baseline"] == dealt["value"] and dealt["n"] == 20
        for arm in ("co-activation", "flat"):
            gained = rows[f"image-graph.{kind}.graph-over-{arm}"]["value"]
            assert gained == pytest.approx(mine["value"] - rows[f"image-graph.{kind}.{arm}"]["value"])
        edges = rows[f"image-graph.{kind}.edges-confirmed"]
        assert 0 <= edges["baseline"] <= 1 and edges["n"] == len(graph.edges)
    assert "image-graph.group.edges-unsupported" not in rows
    assert main([*asked, "--image_graph.kinds", "colour"]) == 2
    said = capsys.readouterr().err
    assert "'colour'" in said and "concept, group" in said


def test_a_graph_of_texts_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "image-graph", "--image_graph.graph", "bundled/text", "--json"]) == 2
    assert capsys.readouterr().err.strip()
