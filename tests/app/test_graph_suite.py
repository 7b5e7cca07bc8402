"""Two probes of one small subject: proposals tested side by side, stability of a graph, two graphs compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from app.suites.edges import edge_rows
from app.worker import execute, run_job
from concept_graphs.compare import compare
from concept_graphs.graph import ConceptGraph
from probes.activations.store import ActivationStore
from probes.artefacts import resolve
from probes.hierarchy.probe import open_probe
from tests.fixtures.suites import few_resamples, rows_of, run_of
from tests.fixtures.tiny_folder import FEW, World, lens_folder, tiny_world
from tests.fixtures.tiny_folder import rows_of as activations_of

QUICK = {"rows": 4000, "evidence": {"chunks": 4, "minimum_chunks": 2}}
PROPOSALS = ("gates", "coactivation", "ridge", "lasso", "grasp", "gradient")


@pytest.fixture(scope="module")
def world(data_home: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("two-seeds")
    world = tiny_world(folder, name="two-seeds")
    store = ActivationStore(resolve(world.store, "store"))
    paths = [
        str(lens_folder(folder / f"{name}-again", activations_of(store, at), f"blocks.{at}.hook_resid_post", seed=1))
        for at, name in enumerate(("low", "high"))
    ]
    for name, low, high in (("seed-zero", world.low, world.high), ("seed-one", *paths)):
        given = {"path": (low, high), "level": ("low", "high"), "store": world.store, "maps": FEW, "dtype": "float32"}
        run_job("import", name=name, **given)
    for name, others in (("seed-zero", ("seed-one",)), ("seed-one", ())):
        settings = {"edges": 12, "bootstrap_fits": 1, "loss_chunks": 0, "dtype": "float32", "seed_probes": others}
        run_job("graph", name=name, probe=name, **settings, **QUICK)
    return world


def test_proposals_are_tested_side_by_side_and_each_pair_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    few_resamples(monkeypatch)
    asked = {"graph": "seed-zero", "proposals": PROPOSALS, "edges": 6, **QUICK}
    run = run_of("graph-tiny", suite="graph", graph=asked)
    path = execute(run)
    rows = rows_of(path)
    tested = json.loads((run.path / "proposals.json").read_text())["low-high"]
    pairs = [(row["source"], row["target"]) for row in tested]
    assert len(set(pairs)) == len(pairs) and path is not None
    assert json.loads((path.parent / "proposals.json").read_text())["low-high"] == tested
    for name in (*PROPOSALS, "random"):
        own = [row for row in tested if name in row["ranks"]]
        assert rows[f"graph.low-high.{name}.proposed"].value == len(own) <= 6
        survived = [row for row in own if row["verdict"] in ("composed", "carried")]
        known = [row for row in own if row["verdict"] != "untested"]
        row = rows[f"graph.low-high.{name}.confirmed"]
        assert row.value == len(survived) and row.n == len(known)
        if known:
            assert rows[f"graph.low-high.{name}.survive"].value == pytest.approx(len(survived) / len(known))
    assert not any(len(row["ranks"]) > 1 for row in tested if "random" in row["ranks"])
    sources = {row["source"] for row in tested}
    assert {int(file.stem) for file in (run.path / "evidence" / "low-high").iterdir()} <= sources


def test_a_graph_says_how_stable_it_is(world: World) -> None:
    graph = ConceptGraph.open("seed-zero")
    figures = graph.meta.figures
    for name in ("agreement_seeds", "matched_seeds", "proposed_halves"):
        value, low, high, n = figures[f"low-high.{name}"]
        assert 0 <= low <= value <= high <= 1 and n >= 1
    assert "low-high.agreement_seeds" not in ConceptGraph.open("seed-one").meta.figures
    rows = {row.name: row for row in edge_rows(graph)}
    assert rows["pairs.low-high.matched_seeds"].unit.startswith("share of the map's edges")


def test_graphs_of_two_seeds_are_matched_by_their_decoders(world: World) -> None:
    one, other = (ConceptGraph.open(name) for name in ("seed-zero", "seed-one"))
    found = compare(one, other)
    assert [row.by for row in found.levels] == ["decoder", "decoder"]
    probes = [open_probe(name) for name in ("seed-zero", "seed-one")]

    def row_of(at: int, concept: str) -> torch.Tensor:
        level, _, index = concept.partition("/")
        return torch.nn.functional.normalize(probes[at].level(level).space.w_dec[int(index)], dim=0)

    for pair in found.kept:
        cosine = float(row_of(0, pair.a) @ row_of(1, pair.b))
        assert cosine == pytest.approx(pair.similarity, abs=1e-4) and cosine >= 0.7
    assert len({pair.b for pair in found.kept}) == len(found.kept)
    for lost in found.lost:
        if lost.undrawn:
            assert lost.undrawn not in other and float(row_of(0, lost.id) @ row_of(1, lost.undrawn)) >= 0.7
    kept = np.array([len(found.kept) + len(side) for side in (found.lost, found.new)])
    assert kept.tolist() == [len(one.nodes), len(other.nodes)]
