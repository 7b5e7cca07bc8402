"""Measuring again changes what is known of a probe's latents, never its weights nor what a lever means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from app.latent_distribution import distribution
from app.worker import run_job
from concept_graphs.graph import ConceptGraph
from probes.activations.store import ActivationStore
from probes.artefacts import read_manifest, write_manifest
from probes.errors import WorkbenchError
from probes.hierarchy.measured import STATISTICS, read_latent, statistics_file, weights_file
from probes.hierarchy.probe import open_probe
from probes.hierarchy.statistics import latent_statistics
from tests.fixtures.graphs import make_graph
from tests.fixtures.stores import make_store

OLD = ("typical", "frequency", "mean_active", "largest", "spread", "spread_floor")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a store, a probe in the layout of before statistics had a file, and one of another seed."""
    home = tmp_path_factory.mktemp("measure")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FULCRUM_HOME", str(home))
        make_store(home / "stores" / "toy")
        for seed, name in enumerate(("old", "other")):
            small: dict[str, Any] = {"n_latents": 32, "k": 3, "optimiser": {"steps": 20, "batch": 96}}
            levels = {level: {**small, "depth": at} for level, at in (("low", 0.2), ("middle", 0.5), ("high", 0.8))}
            levels["high"]["span"] = 4
            gates = {"rows": 2000, "minimum_rows": 5, "candidates": 8, "optimiser": {"steps": 4, "batch": 96}}
            run_job("train", name=name, store="toy", seed=seed, maps=gates, **levels)
        _as_before(home / "probes" / "old")
    return home


def _as_before(folder: Path) -> None:
    for level in ("low", "middle", "high"):
        beside = folder / statistics_file(level)
        found = load_file(beside)
        save_file(load_file(folder / weights_file(level)) | {n: found[n] for n in OLD}, folder / weights_file(level))
        beside.unlink()
    write_manifest(folder, kind="probe", name="old", licence="CC0", figures={"low.l0": 3.0})


@pytest.fixture(autouse=True)
def at_home(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULCRUM_HOME", str(trained))


def test_new_statistics_stand_beside_the_same_weights(trained: Path) -> None:
    made = run_job("measure", name="new", probe="old", store="toy", beside=["other"])
    before, after = read_manifest(trained / "probes" / "old"), read_manifest(made, verify=True)
    weights = [name for name in before.files if name.endswith(".safetensors")]
    assert len(weights) == 5 and all(after.files[name] == before.files[name] for name in weights)
    assert after.licence == "CC0" and {"weights", "measured on"} <= after.parents.keys()
    store, old, new = ActivationStore(trained / "stores" / "toy"), open_probe("old"), open_probe("new")
    for level, was in zip(new.levels, old.levels, strict=True):
        assert level.record.measured_on == "held_out"
        assert torch.equal(level.space.w_enc, was.space.w_enc)
        assert torch.equal(level.space.table.typical, was.space.table.typical)
        expected = latent_statistics(store, "held_out", was)
        for name in expected.keys() - {"typical"}:
            assert torch.equal(level.statistics[name], expected[name]), name
        assert "seed_agreement" in level.statistics and not {"revived", "silent"} & level.statistics.keys()
        assert f"{level.name}.seed_agreement" in after.figures
        assert was.statistics.keys() == set(OLD)
    assert [found.weight.tolist() for found in new.maps] == [found.weight.tolist() for found in old.maps]
    assert read_latent(made, "middle", 7)["histogram"].tolist() == new.levels[1].statistics["histogram"][7].tolist()


def test_what_training_recorded_is_kept(trained: Path) -> None:
    run_job("measure", name="again", probe="other", store="toy", split="train")
    for level, was in zip(open_probe("again").levels, open_probe("other").levels, strict=True):
        assert level.statistics.keys() == was.statistics.keys() == STATISTICS.keys() - {"seed_agreement", "profile"}
        assert all(torch.equal(level.statistics[name], was.statistics[name]) for name in was.statistics)


def test_the_page_shows_what_is_known_and_says_what_is_not(trained: Path) -> None:
    run_job("measure", name="shown", probe="old", store="toy", beside=["other"])
    graph = make_graph(3, 3, 3)
    level = open_probe("shown").level("middle")
    latent = int(level.statistics["histogram"].sum(dim=1).argmax())
    node = next(node for node in graph.nodes if node.level == "middle").model_copy(update={"index": latent})

    def seen(probe: str) -> dict[str, Any] | None:
        meta = graph.meta.model_copy(update={"probe": probe})
        return distribution(ConceptGraph(meta, graph.nodes, graph.edges, graph.examples), node)

    known = seen("shown")
    assert known is not None and sum(known["bars"]) == int(level.statistics["histogram"][latent].sum()) > 0
    assert [value for _, value in known["quantiles"]] == level.statistics["quantiles"][latent].tolist()
    assert "held-out" in known["hint"] and "not recorded" in known["life"] and "Seed agreement" in known["agreement"]
    recorded = seen("other")
    assert recorded is not None and "silent for" in recorded["life"] and not recorded["agreement"]
    assert seen("old") is None and seen("nowhere") is None and seen(str(trained / "probes" / "shown")) is None


def test_a_store_of_another_subject_or_a_damaged_file_is_refused(trained: Path) -> None:
    for broken, code in (({"subject": "another"}, "wrong-subject"), ({"points": ()}, "not-captured")):
        folder = make_store(trained / "stores" / code)
        index = ActivationStore(folder).index.model_copy(update=broken)
        (folder / "index.json").write_text(index.model_dump_json())
        with pytest.raises(WorkbenchError) as refused:
            run_job("measure", name=f"of-{code}", probe="old", store=code)
        assert refused.value.code == code and not (trained / "probes" / f"of-{code}").exists()
    folder = run_job("measure", name="short", probe="old", store="toy")
    save_file({"frequency": torch.zeros(5)}, folder / statistics_file("low"))
    with pytest.raises(WorkbenchError, match="does not fit its level"):
        open_probe("short")
    assert "frequency" in read_latent(folder, "low", 7)  # from the file of before; the page never fails
