"""Levels whose rows are of several hook points, or that predict another one: trained, resumed, saved, opened again."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.linear_model import LinearRegression
from torch import Tensor

from app import jobs
from app.commands import main
from app.config_flags import add_flags, collect, flags_of
from app.exporting import ExportConfig, export
from app.worker import execute, run_job
from concept_graphs.extract import GraphConfig
from concept_graphs.extract import work as extract
from probes.activations.places import Places
from probes.activations.rows import MixedRows, RowKind, shard_pairs, shard_rows
from probes.activations.store import ActivationStore
from probes.addresses import HookPoint
from probes.artefacts import resolve, sha256_of
from probes.backends.minimality_config import Config
from probes.errors import WorkbenchError
from probes.formats.imported import dictionary_of
from probes.formats.registry import read_dictionary
from probes.hierarchy.probe import Level, Probe, open_probe
from probes.hierarchy.train_level import LevelConfig, places_of
from probes.runs import Run
from steering.edits import compile_lever
from steering.levers import Lever
from tests.fixtures.stopping import worked_with_stops
from tests.fixtures.stores import D_MODEL, make_store, predicted_store

FIRST, SECOND, THIRD = (f"layers.{n}:out" for n in range(3))


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("places")
        patch.setenv("FULCRUM_HOME", str(path))
        make_store(path / "stores" / "toy")
        yield path


def store(name: str = "toy") -> ActivationStore:
    return ActivationStore(resolve(name, "store"))


def level(**rest: Any) -> dict[str, Any]:
    how = {"steps": 60, "batch": 96, "learning_rate": 1e-2, "log_every": 10, **rest.pop("how", {})}
    return {"n_latents": 64, "k": 6, "dead_after": 3000, "optimiser": how, **rest}


def config_of(name: str, **rest: Any) -> Config:
    values = {
        "name": name,
        "store": "toy",
        "low": level(autoencoder="transcoder", depth=0.2, predicts=SECOND),
        "middle": level(autoencoder={"kind": "crosscoder", "price": 0.02}, reads=[FIRST, SECOND, THIRD]),
        "high": level(autoencoder="skip_transcoder", reads=[SECOND], predicts=THIRD, span=4),
        "maps": {"minimum_rows": 5, "most_frequent": 1.0, "candidates": 8, "optimiser": {"steps": 10, "batch": 96}},
    }
    return Config.model_validate({**values, **rest})


@pytest.fixture(scope="module")
def whole(home: Path) -> Run:
    run = jobs.new_run("train", config_of("places"))
    assert execute(run) is not None
    return run


@pytest.fixture(scope="module")
def probe(whole: Run) -> Probe:
    return open_probe("places")


def held_out(found: Level, name: str = "toy") -> tuple[Tensor, Tensor]:
    """What a level reads and what it is to rebuild, `row d` each, of every held-out row."""
    parts = [shard_pairs(store(name), shard, found.places, found.rows) for shard in store(name).shards("held_out")]
    x, y = (torch.cat([part[n][part[2]].float() for part in parts]) for n in (0, 1))
    return x, y


def explained(y: Tensor, predicted: Tensor) -> float:
    return 1 - float((y - predicted).square().sum() / (y - y.mean(dim=0)).square().sum())


# -- rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("span", [1, 4])
def test_rows_of_several_points_belong_together(span: int) -> None:
    held = store()
    points, kind = [info.point for info in held.index.points], RowKind(span=span)
    rows = MixedRows(held, Places(points[0], beside=(points[1],), target=points[2]), kind, batch=32, seed=1)
    batch = rows.batch_at(3)
    assert batch["x"].shape == (32, 2 * D_MODEL) and batch["target"].shape == (32, D_MODEL)
    parts = []
    for shard in held.fitting_shards():
        every = [shard_rows(held, shard, Places(point), kind) for point in points]
        usable = torch.stack([flags for _, flags in every]).all(dim=0)
        parts.append(torch.cat([x for x, _ in every], dim=-1)[usable])
    whole = torch.cat(parts)
    assert rows.n_rows == len(whole)
    for row in torch.cat([batch["x"], batch["target"]], dim=1):
        assert bool((whole == row).all(dim=1).any())


def test_what_is_streamed_is_what_is_held_whole() -> None:
    """Both give every pair of rows once an epoch, whatever fits into memory."""
    points = [info.point for info in store().index.points]
    places = Places(points[0], target=points[2])
    epochs = []
    for buffer in (2**30, 400 * 4 * D_MODEL):
        rows = MixedRows(store(), places, RowKind(), batch=32, seed=1, buffer_bytes=buffer)
        batches = [rows.batch_at(step) for step in range(rows.n_rows // 32)]
        epochs.append(torch.cat([torch.cat([one["x"], one["target"]], dim=1) for one in batches]))
    either, other = ({tuple(row) for row in epoch.tolist()} for epoch in epochs)
    assert len(either) == len(epochs[0]) and len(either ^ other) <= 2 * 31  # the last batch that is not full


# -- training ---------------------------------------------------------------------------------------------------


def test_a_transcoder_is_trained_saved_and_scored_against_what_it_predicts(probe: Probe) -> None:
    points = [info.point for info in store().index.points]
    for name, read, predicted in (("low", 0, 1), ("high", 1, 2)):
        found = probe.level(name)
        assert (found.point, found.record.writes) == (points[read], points[predicted])
        assert found.space.writes == points[predicted] and not found.space.centre
        assert found.address == f"{points[read]}->{points[predicted]}"
        x, y = held_out(found)
        (shard,) = store().shards("held_out")
        sides = [shard_rows(store(), shard, Places(points[at]), found.rows) for at in (read, predicted)]
        usable = sides[0][1] & sides[1][1]
        assert torch.equal(x, sides[0][0][usable].float()) and torch.equal(y, sides[1][0][usable].float())
        figure = found.record.figures["explained_variance"]
        assert figure == pytest.approx(explained(y, found.space.reconstruct(x)), abs=1e-3) and figure > 0.05
    assert probe.level("high").space.skip is not None and probe.level("low").space.skip is None


def test_a_crosscoder_is_trained_on_all_its_points_and_opens_with_them(probe: Probe) -> None:
    found, held = probe.level("middle"), store()
    assert found.places.read == tuple(info.point for info in held.index.points) and found.record.writes is None
    assert found.space.w_enc.shape == found.space.w_dec.shape == (64, 3 * D_MODEL)
    x, y = held_out(found)
    assert torch.equal(x, y) and x.shape[1] == 3 * D_MODEL
    figure = found.record.figures["explained_variance"]
    assert figure == pytest.approx(explained(x, found.space.reconstruct(x)), abs=1e-3) and figure > 0.3
    norms = torch.stack([part.norm(dim=1) for part in found.space.w_dec.split(D_MODEL, dim=1)])
    assert bool((norms > 0.05).any(dim=1).all()), "every site is written to"


def test_a_training_that_was_stopped_ends_bit_for_bit_as_a_whole_one(whole: Run) -> None:
    """Stopped in each of the three architectures."""
    cut = jobs.new_run("train", config_of("cut"))
    worked_with_stops(cut, (20, 90, 150))
    assert files_of("cut") == files_of("places")
    rows = [[{k: v for k, v in row.items() if k != "time"} for row in run.metrics()] for run in (cut, whole)]
    assert rows[0] == rows[1]


def files_of(name: str) -> dict[str, str]:
    return {file.name: sha256_of(file) for file in resolve(name, "probe").glob("*.safetensors")}


@pytest.mark.parametrize("bent", [False, True], ids=["linear", "bent"])
def test_what_one_place_makes_of_another_is_found_as_well_as_by_regression(home: Path, bent: bool) -> None:
    """Scikit-learn's regression on the same training rows, scored on the same held-out ones. Where the map is linear
    it is the truth; where it is bent there is more to find."""
    name = "bent" if bent else "linear"
    predicted_store(home / "stores" / name, bent=bent)
    held = store(name)
    shards = [shard_pairs(held, one, Places(HookPoint.parse(FIRST), target=HookPoint.parse(SECOND)), RowKind())
              for one in held.fitting_shards()]  # fmt: skip
    x, y = (torch.cat([part[n][part[2]].float() for part in shards]) for n in (0, 1))
    fitted = LinearRegression().fit(x.numpy(), y.numpy())
    common = {"depth": 0.2, "predicts": SECOND, "how": {"steps": 600, "batch": 256}, "k": 8, "n_latents": 128}
    run_job("sweep", name=name, store=name, level=level(autoencoder="transcoder", **common),
            grid={"autoencoder": ["transcoder", "skip_transcoder"]})  # fmt: skip
    for number, margin in ((1, 0.05), (2, 0.01)):
        found = open_probe(f"{name}-{number}").levels[0]
        rows, truth = held_out(found, name)
        linear = explained(truth, torch.from_numpy(fitted.predict(rows.numpy())).float())
        ours = found.record.figures["explained_variance"]
        assert found.record.writes == HookPoint.parse(SECOND)
        assert ours > (linear + 0.05 if bent else linear - margin)


# -- what follows -----------------------------------------------------------------------------------------------


def test_a_level_of_other_places_is_measured_again(probe: Probe) -> None:
    run_job("measure", name="again", probe="places", store="toy", split="train")
    again = open_probe("again")
    for level in again.levels:
        before = probe.level(level.name)
        assert level.places == before.places and level.record.measured_on == "train"
        assert torch.equal(level.space.w_dec, before.space.w_dec) and bool(level.statistics["frequency"].any())


def test_an_exported_transcoder_is_judged_by_what_it_predicts(probe: Probe, tmp_path: Path) -> None:
    done = export(ExportConfig(probe="places", level="low", format="saelens", out=str(tmp_path / "out")))
    assert (
        done.architecture == "jumprelu_transcoder" and "the largest number of latents is dropped" in done.approximation
    )
    said = json.loads((tmp_path / "out" / "cfg.json").read_text())["metadata"]
    assert (said["hook_name"], said["hook_name_out"]) == ("blocks.0.hook_resid_post", "blocks.1.hook_resid_post")
    found, (x, y) = dictionary_of(read_dictionary(tmp_path / "out"), "low"), held_out(probe.level("low"))
    before, after = (explained(y, space.reconstruct(x)) for space in (probe.level("low").space, found))
    assert f"explained variance from {before:.4f} to {after:.4f}" in done.approximation
    with pytest.raises(WorkbenchError, match="3 hook points at once"):
        export(ExportConfig(probe="places", level="middle", format="saelens", out=str(tmp_path / "other")))


def test_what_reads_one_place_of_a_running_subject_refuses_a_crosscoder(probe: Probe, tiny_subject: Any) -> None:
    with pytest.raises(WorkbenchError, match="3 hook points"):
        compile_lever(Lever(level="middle", weights={3: 1.0}), probe, tiny_subject)
    with pytest.raises(WorkbenchError, match="3 hook points"):
        extract(GraphConfig(name="g", probe="places"), jobs.new_run("graph", GraphConfig(name="g", probe="places")))
    with pytest.raises(WorkbenchError, match="3 hook points"):
        _ = probe.level("middle").point


# -- asking for it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"autoencoder": "transcoder"}, "predicts", "a transcoder predicts another hook point: name it here"),
        ({"autoencoder": "topk", "predicts": SECOND}, "predicts", "leave it empty, or choose a transcoder"),
        ({"autoencoder": "crosscoder"}, "reads", "a crosscoder reads several hook points at once: name them here"),
        ({"autoencoder": "crosscoder", "reads": [FIRST]}, "reads", "name them here"),
        ({"autoencoder": "topk", "reads": [FIRST, SECOND]}, "reads", "name one, or choose a crosscoder"),
        ({"at": FIRST, "reads": [FIRST]}, "reads", "leave one of the two empty"),
    ],
)
def test_an_architecture_has_the_places_it_needs_and_no_others(wrong: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(WorkbenchError) as refused:
        jobs.config_for("train", {"name": "x", "store": "toy", "high": wrong})
    assert f"field high.{field}: " in refused.value.why and refused.value.why.endswith(said)
    assert f"high.{field}" in refused.value.how


def test_a_command_says_which_flag_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--name", "x", "--store", "toy", "--low.autoencoder", "skip_transcoder"]) == 2
    said = capsys.readouterr().err
    assert "a skip_transcoder predicts another hook point" in said and "--low.predicts" in said


def test_flags_give_the_config_they_were_made_from() -> None:
    config, parser = config_of("flags"), argparse.ArgumentParser()
    add_flags(parser, Config)
    flags = flags_of(config)
    assert flags[flags.index("--low.predicts") + 1] == SECOND
    assert jobs.config_for("train", collect(parser.parse_args(flags), Config)) == config


def test_hook_points_that_cannot_be_paired_are_refused() -> None:
    for reads in ("layers.9:out", "layers.0:sideways"):
        with pytest.raises(WorkbenchError):
            places_of(store(), LevelConfig(reads=(reads,)))
    with pytest.raises(WorkbenchError, match="named twice"):
        places_of(store(), LevelConfig.model_validate({"autoencoder": "crosscoder", "reads": [FIRST, FIRST]}))
    with pytest.raises(WorkbenchError, match="named twice"):
        places_of(store(), LevelConfig.model_validate({"autoencoder": "transcoder", "at": FIRST, "predicts": FIRST}))
    assert places_of(store(), LevelConfig(depth=0.5)).point == store().index.points[1].point


def test_levels_of_several_places_are_not_trained_together() -> None:
    run = jobs.new_run("train", config_of("together", joint={"train": True}))
    with pytest.raises(WorkbenchError, match="trained together"):
        execute(run)
    assert not (run.path / "levels").exists()
