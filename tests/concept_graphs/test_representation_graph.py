"""The graph of a representation says what is known of its latents, and of its edges that they are only proposed."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import numpy as np
import pytest

from concept_graphs.exchange.evidence import edge_extra, graph_extra, node_extra, restored
from concept_graphs.figure import ViewSpec, layered_figure
from concept_graphs.graph import ConceptGraph, EdgeTable
from concept_graphs.representation_graph import representation_graph
from concept_graphs.tables import Edge
from probes.errors import WorkbenchError
from tests.fixtures.kept_cells import PICTURES, kept_cell


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    return tmp_path


def linked(graph: ConceptGraph, *edges: Edge) -> ConceptGraph:
    return ConceptGraph(graph.meta, graph.nodes, EdgeTable.from_rows(edges), rows=graph.rows)


def test_latents_are_described_without_the_truth_and_the_truth_stands_beside(home: Path) -> None:
    found = kept_cell(home)
    graph = representation_graph(found, "mine", rounds=1)
    assert graph.meta.representation == "mine" and graph.meta.probe == "" and graph.meta.joins == "within"
    names = set(found.opened.world.names)
    for at, node in enumerate(graph.nodes):
        assert node.label == f"latent {at}" and not any(name in node.label for name in names)
        assert node.frequency is None and node.typical is None, "a latent that is never off fires in no share of rows"
        assert node.deviation == pytest.approx(found.opened.spread[at])
    followed = {node.follows.factor: node.index for node in graph.nodes if node.follows}
    assert followed == {name: int(at) for name, at in zip(found.opened.world.names, found.opened.matched, strict=True)}
    rows = graph.rows["latents/2"]
    values = found.opened.codes[:, 2]
    assert [row.end for row in rows] == ["lowest"] * 4 + ["highest"] * 4
    assert (rows[0].value, rows[4].value) == pytest.approx((values.min(), values.max()))
    np.testing.assert_allclose(rows[0].x, found.opened.seen([rows[0].row])[0], atol=1e-4)
    graph.save(home / "graphs" / "mine")
    assert ConceptGraph.open("mine") == graph


def test_edges_are_proposals_with_or_without_a_direction(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("causallearn")
    found = kept_cell(home)
    random = np.random.default_rng(0)
    codes = random.normal(size=found.opened.codes.shape)
    codes[:, 3] += 2 * codes[:, 0] + 2 * codes[:, 1]  # a collider, and a latent by itself
    found.opened.codes = codes
    graph = representation_graph(found, "mine", rounds=2)
    edges = {(edge.source, edge.target): edge for edge in graph.edges}
    assert edges.keys() >= {("latents/0", "latents/3"), ("latents/1", "latents/3")}
    for edge in edges.values():
        assert edge.verdict == "untested" and edge.effect is None and edge.oriented is not None and edge.n == 0
    assert edges["latents/0", "latents/3"].oriented and edges["latents/0", "latents/3"].frequency == 1.0
    assert any("no intervention tested them" in said for said in graph.meta.warnings)
    pairs = 6
    assert graph.meta.figures["false_positive_rate"] == pytest.approx(graph.meta.figures["shuffled_edges"] / pairs)
    monkeypatch.setitem(sys.modules, "causallearn.search.ConstraintBased.PC", None)
    alone = representation_graph(found, "mine", rounds=2)
    assert len(alone.nodes) == 4 and not len(alone.edges)
    assert "No edges were looked for: causal-learn is not installed" in alone.meta.warnings[0]


def test_how_far_its_edges_are_from_the_known_graph_stands_beside_the_null(home: Path) -> None:
    """Latents that are the factors, in another order: the known collider is found whole, shuffled latents miss it."""
    pytest.importorskip("causallearn")
    pytest.importorskip("gadjid")
    found = kept_cell(home)
    random = np.random.default_rng(1)
    codes = random.normal(size=found.opened.codes.shape)
    codes[:, 3] += 2 * codes[:, 0] + 2 * codes[:, 1]
    found.opened.codes, found.opened.matched = codes, np.array([1, 3, 0, 2])  # factors 0 and 2 cause factor 1
    known = np.zeros((4, 4), dtype=bool)
    known[0, 1] = known[2, 1] = True
    found.opened.world.edges = known
    figures = representation_graph(found, "mine", "pc", rounds=2).meta.figures
    assert figures["shd"] == figures["sid_low"] == figures["sid_high"] == 0 and figures["sid_pairs"] == 12
    assert figures["shd_shuffled"] >= 1.5
    found.opened.matched = np.array([3, 0, 1, 2])
    other = representation_graph(found, "mine", "pc", rounds=0)
    assert other.meta.figures["shd"] == 3 and other.meta.figures["sid_low"] > 0
    assert any("SHD from the known graph's class: 3." in said for said in other.meta.warnings)


def test_pictures_of_a_world_are_kept_and_a_missing_decoder_is_said(home: Path) -> None:
    from PIL import Image

    found = kept_cell(home, config=PICTURES)
    graph = representation_graph(found, "mine", rounds=0)
    row = graph.rows["latents/0"][0]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(row.png))))
    np.testing.assert_array_equal(np.moveaxis(picture, -1, 0), found.opened.seen([row.row])[0])
    assert row.size == picture.shape[:2] and not row.x
    contrast = representation_graph(kept_cell(home, "infonce", "other"), "other", rounds=0)
    assert any("has no decoder" in said for said in contrast.meta.warnings)
    assert not any("has no decoder" in said for said in graph.meta.warnings)


def test_latents_that_stand_still_have_no_edges_and_no_ends(home: Path) -> None:
    found = kept_cell(home)
    still = found.measured.latents[1].model_copy(update={"deviation": 0.0})
    latents = [still if at == 1 else latent for at, latent in enumerate(found.measured.latents)]
    object.__setattr__(found, "measured", found.measured.model_copy(update={"latents": latents}))
    graph = representation_graph(found, "mine", rounds=0)
    assert "latents/1" not in graph.rows and not {"latents/1"} & {*graph.edges["source"], *graph.edges["target"]}
    assert graph.node("latents/1").follows is None
    assert any("Standing still" in said and "latent 1" in said for said in graph.meta.warnings)


def test_the_ring_shows_every_latent_and_heads_only_where_a_direction_is_proposed(home: Path) -> None:
    graph = linked(
        representation_graph(kept_cell(home), "mine", rounds=0),
        Edge(source="latents/0", target="latents/2", oriented=True, frequency=0.75),
        Edge(source="latents/1", target="latents/2", oriented=False, frequency=0.5),
    )
    figure = layered_figure(graph, ViewSpec(show_untested=True))
    (nodes,) = (trace for trace in figure["data"] if trace.get("ids"))
    assert nodes["ids"] == [f"latents/{at}" for at in range(4)] and all(nodes["text"])
    heads = [one for one in figure["layout"]["annotations"] if one.get("showarrow")]
    at = {key: place for key, *place in zip(nodes["ids"], nodes["x"], nodes["y"], strict=True)}
    assert len(heads) == 1
    assert np.hypot(heads[0]["x"] - at["latents/2"][0], heads[0]["y"] - at["latents/2"][1]) < 0.05
    (hidden,) = (trace for trace in figure["data"] if trace["name"] == "evidence")
    said = dict(zip(hidden["customdata"], hidden["hovertext"], strict=True))
    assert "proposed with this direction, not tested<br>comes back on 75%" in said["latents/0>latents/2"]
    assert "latent 1 – latent 2" in said["latents/1>latents/2"] and "direction open" in said["latents/1>latents/2"]


def test_other_tools_files_bring_it_back_and_edges_to_other_levels_are_refused(home: Path) -> None:
    graph = linked(
        representation_graph(kept_cell(home), "mine", rounds=0),
        Edge(source="latents/0", target="latents/2", oriented=True),
    )
    nodes = [(node_extra(node), node.label) for node in graph.nodes]
    links = [(edge.source, edge.target, edge_extra(edge)) for edge in graph.edges]
    assert restored(graph_extra(graph), nodes, links, what="The file") == graph
    low, high = (level.model_copy(update={"name": name}) for level in graph.meta.levels for name in ("low", "high"))
    rows = [
        graph.nodes.row(0).model_copy(update={"id": f"{name}/0", "level": name, "index": 0}) for name in ("low", "high")
    ]
    with pytest.raises(WorkbenchError, match="leaves its level"):
        ConceptGraph(
            graph.meta.model_copy(update={"levels": [low, high]}),
            type(graph.nodes).from_rows(rows),
            EdgeTable.from_rows([Edge(source="low/0", target="high/0")]),
        )
