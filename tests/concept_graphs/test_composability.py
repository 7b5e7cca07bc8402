"""Composability on a world whose held-out combinations are known, and the support it is looked up in."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from app.commands import main
from app.worker import run_job
from concept_graphs.composability import composability, in_words
from concept_graphs.graph import ConceptGraph, EdgeTable, GraphMeta, LevelRow, NodeTable
from concept_graphs.support import Support, SupportConfig, SupportRecord, support_of
from concept_graphs.tables import Edge, Node
from probes.activations.inputs import capture_inputs
from probes.artefacts import artefact_path
from probes.errors import WorkbenchError
from probes.hierarchy.probe import save_probe
from probes.worlds.storeys import NAMES, Storeys, StoreysConfig
from tests.fixtures.worlds import HIGH, LOW, codes_of, inputs, true_probe, two_storeys

WORLD = Storeys(StoreysConfig(low=18, middle=9, high=5, shared=0.8, active=4.0, most=3, sweeps=6), seed=4)


def graph_of(parts: list[np.ndarray], *, confirmed: bool = True) -> ConceptGraph:
    """A graph of known edges; `parts`: per pair `high low` bool."""
    sizes = [parts[0].shape[1], *(part.shape[0] for part in parts)]
    names = NAMES[: len(sizes)]
    levels = [LevelRow(name=n, hook_point=n, row="token", n_latents=size) for n, size in zip(names, sizes, strict=True)]
    nodes = [
        Node(id=f"{n}/{at}", level=n, index=at, label=f"{n} {at}", label_tokens=[], frequency=0.1, typical=1.0)
        for n, size in zip(names, sizes, strict=True)
        for at in range(size)
    ]
    edges = [
        Edge(
            source=f"{names[k]}/{low}",
            target=f"{names[k + 1]}/{high}",
            effect=-1.0,
            effect_low=-1.2,
            effect_high=-0.8,
            null95=0.1,
            verdict="composed" if confirmed else "unsupported",
        )
        for k, part in enumerate(parts)
        for high, low in zip(*np.nonzero(part), strict=True)
    ]
    meta = GraphMeta(name="known", title="Known", subject="s", probe="p", levels=levels)
    return ConceptGraph(meta, NodeTable.from_rows(nodes), EdgeTable.from_rows(edges))


def support_with(on: np.ndarray, graph: ConceptGraph) -> Support:
    ids = graph.nodes["id"]
    record = SupportRecord(concepts=ids, examples=len(on), unit="row", settings=SupportConfig(graph="known"))
    return Support(record, sparse.csc_matrix(on))


@pytest.fixture(scope="module")
def world() -> tuple[ConceptGraph, np.ndarray]:
    """The world's true graph, and which concepts are on in its rows, `row concept`."""
    codes = WORLD.draw(1500, seed=1).codes
    return graph_of(list(WORLD.parts)), np.concatenate([part > 0 for part in codes], axis=1)


def columns(graph: ConceptGraph, keys: list[str]) -> list[int]:
    return [graph.position(key) for key in keys]


def test_a_combination_never_shown_misses_just_the_modules_its_parents_share(world: Any) -> None:
    graph, on = world
    shared = WORLD.parts[1][:, None] & WORLD.parts[1][None]
    a, b = next((a, b) for a, b in combinations(range(5), 2) if shared[a, b].any() and not shared[a, b].all())
    pair = [f"high/{a}", f"high/{b}"]
    both = on[:, columns(graph, pair)].all(axis=1)
    assert both.sum() > 5
    whole = composability(graph, support_with(on, graph), pair)
    assert whole.coverage == 1 and whole.together == both.sum() and not whole.missing
    kept = composability(graph, support_with(on[~both], graph), pair)
    assert kept.together == 0 and kept.coverage is not None and 0 < kept.coverage < 1
    middle = {module.concept for module in kept.missing if module.concept.startswith("middle/")}
    assert middle == {f"middle/{at}" for at in np.flatnonzero(shared[a, b])}
    alone = [module for module in kept.modules if len(module.parents) == 1]
    assert alone and all(module.covered for module in alone)


def test_modules_are_those_a_walk_down_finds_and_counts_those_of_a_loop(world: Any) -> None:
    graph, on = world
    kept = on[~on[:, columns(graph, ["high/0", "high/1"])].all(axis=1)]
    found = composability(graph, support_with(kept, graph), ["high/0", "high/1"], least=3)
    middle = {at: [h for h in (0, 1) if WORLD.parts[1][h, at]] for at in range(9)}
    middle = {at: parents for at, parents in middle.items() if parents}
    low = {at: [m for m in middle if WORLD.parts[0][m, at]] for at in range(18)}
    expected = {f"middle/{at}": [f"high/{h}" for h in parents] for at, parents in middle.items()}
    expected |= {f"low/{at}": [f"middle/{m}" for m in parents] for at, parents in low.items() if parents}
    assert {module.concept: sorted(module.parents) for module in found.modules} == {
        key: sorted(parents) for key, parents in expected.items()
    }
    for module in found.modules:
        own = kept[:, columns(graph, module.parents)]
        assert module.examples == own.all(axis=1).sum() and module.covered == (module.examples >= 3)
        assert module.expected == pytest.approx(len(kept) * np.prod(own.mean(axis=0)))
    covered = [module.covered for module in found.modules]
    assert found.coverage == pytest.approx(np.mean(covered)) and covered == sorted(covered)
    assert in_words(found).startswith(f"{sum(covered)} of {len(covered)} modules covered along confirmed edges")


def test_confirmed_edges_are_followed_first() -> None:
    parts = [np.array([[True, True, False], [False, True, True]])]
    graph = graph_of(parts, confirmed=False)
    support = support_with(np.ones((4, 5), dtype=bool), graph)
    pair = ["middle/0", "middle/1"]
    assert composability(graph, support, pair).evidence == "proposed"
    assert composability(graph, support, pair, only_confirmed=True).coverage is None
    some = graph.edges.replace(verdict=["composed", *graph.edges["verdict"][1:]])
    half = ConceptGraph(graph.meta, graph.nodes, some)
    found = composability(half, support, pair)
    assert found.evidence == "confirmed" and len(found.modules) == 1
    said = in_words(found)
    assert "None lies below two of the concepts: this says nothing of the combination." in said
    assert f"No confirmed edge leads down from {half.node('middle/1').label} (middle/1)." in said
    assert len(composability(half, support, pair, only_confirmed=False).modules) == 3


def test_what_cannot_be_looked_up_is_refused(world: Any) -> None:
    graph, on = world
    support = support_with(on, graph)
    for wrong in (["high/0"], ["high/0", "high/0"], []):
        with pytest.raises(WorkbenchError, match="nothing to combine"):
            composability(graph, support, wrong)
    with pytest.raises(WorkbenchError, match="no concept 'high/99'"):
        composability(graph, support, ["high/0", "high/99"])
    few = SupportRecord(concepts=["high/0"], examples=2, unit="row", settings=SupportConfig(graph="known"))
    with pytest.raises(WorkbenchError, match="not in the graph when the training support was noted"):
        composability(graph, Support(few, sparse.csc_matrix(np.ones((2, 1), dtype=bool))), ["high/0", "high/1"])


@pytest.fixture
def saved(data_home: Path) -> ConceptGraph:
    """A module whose features are known, its probe, store and graph in the data folder."""
    subject = two_storeys()
    capture_inputs(subject, inputs(6, 40), name="support-store", held_out=0.34)
    probe_path = artefact_path("probe", "support-probe")
    if not probe_path.exists():
        probe = true_probe(subject)
        levels = (replace(one, statistics={"typical": torch.ones(one.record.n_latents)}) for one in probe.levels)
        probe = replace(probe, levels=tuple(levels))
        save_probe(probe, probe_path, name="support-probe", command="", parents={}, figures={})
    known = graph_of([subject.root.parts.numpy() > 0])  # type: ignore[union-attr, operator]
    levels = [level.model_copy(update={"name": n}) for level, n in zip(known.meta.levels, ("low", "high"), strict=True)]
    meta = known.meta.model_copy(
        update={
            "name": "support-graph", "subject": subject.name, "probe": "support-probe", "store": "support-store",
            "levels": levels,
        }
    )  # fmt: skip
    rename = lambda key: key.replace("middle", "high")  # noqa: E731
    nodes = known.nodes.replace(id=list(map(rename, known.nodes["id"])), level=list(map(rename, known.nodes["level"])))
    edges = known.edges.replace(target=list(map(rename, known.edges["target"])))
    graph = ConceptGraph(meta, nodes, edges)
    folder = artefact_path("graph", "support-graph")
    folder.mkdir(parents=True, exist_ok=True)
    graph.save(folder)
    return graph


def test_the_support_is_what_was_on_in_the_training_rows(
    saved: ConceptGraph, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = ["high/0", "high/1"]
    command = ["graph", "compose", "support-graph", *pair, "--json"]
    assert support_of(saved) is None and main(command) == 2
    assert "fulcrum support support-graph" in capsys.readouterr().err
    folder = run_job("support", graph="support-graph")
    found = support_of(saved)
    assert found is not None and found.record == Support.load(folder).record
    train = [seed for seed in range(6) if _is_train(seed)]
    low = np.concatenate([codes_of(40, seed=seed).numpy() for seed in train])
    parts = two_storeys().root.parts.numpy()  # type: ignore[union-attr, operator]
    truth = np.concatenate([low, np.maximum(low @ parts.T - 0.25, 0)], axis=1) >= 0.5
    assert found.record.examples == len(truth)
    ids = [f"low/{at}" for at in range(LOW)] + [f"high/{at}" for at in range(HIGH)]
    for at, key in enumerate(ids):
        assert len(found.column(key)) == truth[:, at].sum()
    assert found.together(pair) == truth[:, [LOW, LOW + 1]].all(axis=1).sum() > 0
    assert main(command) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["together"] == found.together(pair) and len(said["modules"]) == 6 and said["coverage"] == 1


def _is_train(seed: int) -> bool:
    from probes.activations.store import ActivationStore

    index = ActivationStore(artefact_path("store", "support-store")).index
    return index.documents[seed].split == "train"


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    from probes.artefacts import write_manifest

    graph = graph_of([np.ones((2, 3), dtype=bool)])
    support_with(np.ones((4, 5), dtype=bool), graph).save(tmp_path)
    for pointer, index in (
        ([0, 4], [0, 1, 2, 3]),
        ([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 9]),
        ([0, 2, 1, 3, 4, 5], [0] * 5),
    ):
        np.savez(tmp_path / "support.npz", pointer=np.array(pointer), index=np.array(index))
        write_manifest(tmp_path, kind="support", name="damaged")
        with pytest.raises(WorkbenchError, match="does not fit"):
            Support.load(tmp_path)
    (tmp_path / "support.npz").write_bytes(b"nothing like it")
    write_manifest(tmp_path, kind="support", name="damaged")
    with pytest.raises(WorkbenchError, match="is not usable"):
        Support.load(tmp_path)
