"""Graphs of assembled probes: two levels with tested edges, one level of concepts alone, a transcoder."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.worker import run_job
from concept_graphs.graph import ConceptGraph
from probes.errors import WorkbenchError
from probes.hierarchy.probe import open_probe
from probes.subjects.loading import load_subject
from probes.subjects.text_autoregressive import TextAutoregressive
from steering.levers import lever_of
from steering.on_graph import compare_on_graph
from tests.fixtures.tiny_folder import FEW, World, tiny_world, transcoder_file

QUICK = {
    "edges": 12,
    "rows": 4000,
    "bootstrap_fits": 0,
    "loss_chunks": 4,
    "concepts": 15,
    "evidence": {"chunks": 4, "minimum_chunks": 2},
    "dtype": "float32",
}


@pytest.fixture(scope="module")
def world(data_home: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    return tiny_world(tmp_path_factory.mktemp("assembled"), name="graphed")


def graph_of(probe: str) -> ConceptGraph:
    run_job("graph", name=probe, probe=probe, **QUICK)
    return ConceptGraph.open(probe)


def test_two_imported_levels_make_a_graph_and_levers(world: World) -> None:
    run_job("import", name="two-files", path=(world.low, world.high), store=world.store, maps=FEW, dtype="float32")
    graph = graph_of("two-files")
    assert len(graph.edges) == 12 and {node.level for node in graph.nodes} == {"low", "high"}
    assert set(graph.edges["verdict"]) <= {"composed", "carried", "unsupported", "untested"}
    assert any(value is not None for value in graph.edges["effect"])
    assert all(graph.examples[node.id] for node in graph.nodes)
    concept = graph.nodes.row(0)
    subject = load_subject(world.subject, of=TextAutoregressive, dtype="float32")
    found = compare_on_graph(
        subject, graph, [lever_of(concept.id, 6.0)], "The whale", max_new_tokens=8, concept=concept.id
    )
    assert found.levers[0].moved > 0 and found.steered.text != found.unsteered.text


def test_one_level_is_a_graph_of_concepts_without_edges(world: World) -> None:
    run_job("import", name="one-file", path=(world.low,), store=world.store, maps=FEW, dtype="float32")
    graph = graph_of("one-file")
    assert len(graph.nodes) == 15 and len(graph.edges) == 0
    (level,) = open_probe("one-file").levels
    mass = level.statistics["frequency"] * level.statistics["mean_active"]
    shown = {node.index for node in graph.nodes}
    assert float(mass[list(shown)].min()) >= float(mass[[i for i in range(len(mass)) if i not in shown]].max())
    assert all(node.label and graph.examples[node.id] for node in graph.nodes)


def test_a_transcoder_has_concepts_and_its_edges_are_refused(world: World, tmp_path: Path) -> None:
    path = str(transcoder_file(tmp_path / "t"))
    text = {"corpus": world.text, "context": 32, "max_tokens": 20_000}
    run_job("import", name="transcoder", path=(path,), subject=world.subject, text=text, dtype="float32")
    graph = graph_of("transcoder")
    assert len(graph.nodes) > 0 and len(graph.edges) == 0
    assert graph.meta.levels[0].hook_point == "model.layers.1.mlp:in"
    mixed = {"subject": world.subject, "text": text, "dtype": "float32", "maps": FEW}
    run_job("import", name="two-transcoders", path=(path, path), **mixed)
    with pytest.raises(
        WorkbenchError, match=r"reads at model\.layers\.1\.mlp:in and writes at model\.layers\.1\.mlp:out"
    ):
        graph_of("two-transcoders")
