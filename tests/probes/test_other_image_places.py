"""Levels of images whose rows are of several hook points, or that predict another one: at the same cells and noise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.linear_model import LinearRegression
from torch import Tensor

from app import jobs
from app.worker import execute
from concept_graphs.extract import GraphConfig
from concept_graphs.extract import work as extract
from probes.activations.rows import shard_pairs
from probes.activations.store import ActivationStore
from probes.addresses import HookPoint, parse_address
from probes.artefacts import resolve, sha256_of
from probes.backends.minimality_config import Config
from probes.errors import WorkbenchError
from probes.hierarchy.probe import Level, Probe, open_probe
from probes.hierarchy.train_level import LevelConfig, places_of
from probes.runs import Run
from tests.fixtures.image_stores import COARSE, FINE, image_store
from tests.fixtures.stopping import worked_with_stops

BLOCK = FINE.removesuffix(":update")
ENTERS, LEAVES = f"{BLOCK}:in", f"{BLOCK}:out"


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("image-places")
        patch.setenv("FULCRUM_HOME", str(path))
        image_store(path, points=[ENTERS, FINE, LEAVES, COARSE])
        yield path


def store() -> ActivationStore:
    return ActivationStore(resolve("images", "store"))


def config_of(name: str, **rest: Any) -> Config:
    """A transcoder and a skip transcoder in bands found by depth, and a crosscoder whose noise is written out."""
    how = {"steps": 400, "batch": 128, "learning_rate": 1e-2, "log_every": 10}
    level = {"n_latents": 96, "k": 8, "dead_after": 3000, "optimiser": how}
    crosscoder = {"kind": "crosscoder", "price": 0.02}
    both = [f"{ENTERS}@noise=0.3-0.6", f"{LEAVES}@noise=0.3-0.6"]
    values = {
        "name": name,
        "store": "images",
        "low": level | {"autoencoder": "skip_transcoder", "depth": 0.1, "predicts": LEAVES},
        "middle": level | {"autoencoder": crosscoder, "reads": both},
        "high": level | {"autoencoder": "transcoder", "at": f"{ENTERS}@noise=0.6-1.0", "predicts": FINE},
        "maps": {"rows": 2000, "minimum_rows": 10, "optimiser": {"steps": 20, "batch": 128, "learning_rate": 0.03}},
    }
    return Config.model_validate(values | rest)


@pytest.fixture(scope="module")
def whole(home: Path) -> Run:
    run = jobs.new_run("train", config_of("places"))
    assert execute(run) is not None
    return run


@pytest.fixture(scope="module")
def probe(whole: Run) -> Probe:
    return open_probe("places")


def by_hand(level: Level, shards: list[int]) -> tuple[Tensor, Tensor]:
    """What a level reads and what it is to rebuild, `row d`, frame by frame and cell by cell from the store's files."""
    low, high = level.where.noise
    read, target = [], []
    for shard in shards:
        (noise,) = store().read(shard, "noise")
        inside = (noise >= low) & (noise <= high)
        rows = {point: store().activations(shard, point)[inside].flatten(0, 1).float() for point in level.places.every}
        read.append(torch.cat([rows[point] for point in level.places.read], dim=1))
        target.append(read[-1] if level.record.writes is None else rows[level.record.writes])
    return torch.cat(read), torch.cat(target)


def explained(y: Tensor, predicted: Tensor) -> float:
    return 1 - float((y - predicted).square().sum() / (y - y.mean(dim=0)).square().sum())


def test_cells_of_hook_points_of_one_grid_are_the_same(home: Path) -> None:
    points = [info.point for info in store().index.points]
    cells = [store().cells(0, point) for point in points[:3]]
    assert all(torch.equal(one, cells[0]) for one in cells)
    enters, added, leaves = (store().activations(0, point).float() for point in points[:3])
    torch.testing.assert_close(enters + added, leaves, atol=2e-2, rtol=2e-2)  # row by row they belong together


@pytest.mark.parametrize("name", ["low", "middle", "high"])
def test_a_level_is_scored_on_the_rows_of_its_noise_at_all_its_points(probe: Probe, name: str) -> None:
    level = probe.level(name)
    x, y = by_hand(level, store().shards("held_out"))
    parts = [shard_pairs(store(), shard, level.places, level.rows) for shard in store().shards("held_out")]
    assert torch.equal(torch.cat([x[usable].float() for x, _, usable in parts]), x)
    assert torch.equal(torch.cat([y[usable].float() for _, y, usable in parts]), y)
    figure = level.record.figures["explained_variance"]
    assert figure == pytest.approx(explained(y, level.space.reconstruct(x)), abs=1e-3)
    assert level.space.w_enc.shape[1] == x.shape[1] and level.space.w_dec.shape[1] == y.shape[1]


def test_bands_and_points_are_those_that_were_asked_for(probe: Probe) -> None:
    enters, leaves = HookPoint.parse(ENTERS), HookPoint.parse(LEAVES)
    low, middle, high = probe.levels
    assert (low.point, low.record.writes, low.where.noise) == (enters, leaves, (0.0, 0.3))
    assert (middle.places.read, middle.record.writes, middle.where.noise) == ((enters, leaves), None, (0.3, 0.6))
    assert (high.point, high.record.writes, high.where.noise) == (enters, HookPoint.parse(FINE), (0.6, 1.0))


def test_a_skip_transcoder_predicts_as_well_as_regression(probe: Probe) -> None:
    """Scikit-learn's, on the same training rows and scored on the same held-out ones."""
    level = probe.level("low")
    x, y = by_hand(level, store().fitting_shards())
    fitted = LinearRegression().fit(x.numpy(), y.numpy())
    rows, truth = by_hand(level, store().shards("held_out"))
    linear = explained(truth, torch.from_numpy(fitted.predict(rows.numpy())))
    assert linear > 0.5 and level.record.figures["explained_variance"] > linear - 0.02


def test_a_training_that_was_stopped_ends_bit_for_bit_as_a_whole_one(whole: Run) -> None:
    cut = jobs.new_run("train", config_of("cut"))
    worked_with_stops(cut, (120, 550, 900))
    made, again = (
        {file.name: sha256_of(file) for file in resolve(name, "probe").glob("*.safetensors")}
        for name in ("places", "cut")
    )
    assert made == again


def test_points_that_cannot_be_paired_are_refused(home: Path) -> None:
    for changes, said in (
        ({"autoencoder": "transcoder", "at": COARSE, "predicts": FINE}, "grids of these hook points differ"),
        ({"autoencoder": "crosscoder", "reads": [f"{ENTERS}@noise=0-0.3", f"{LEAVES}@noise=0.3-1"]}, "different noise"),
        ({"autoencoder": "crosscoder", "reads": [f"{ENTERS}@noise=0-0.3", LEAVES]}, "different noise"),
        ({"autoencoder": "transcoder", "at": FINE, "predicts": f"{LEAVES}@noise=0-0.3"}, "hook point"),
    ):
        with pytest.raises(WorkbenchError, match=said):
            places_of(store(), LevelConfig.model_validate(changes))
    found = places_of(
        store(), LevelConfig.model_validate({"autoencoder": "transcoder", "at": FINE, "predicts": LEAVES})
    )
    assert (found.point, found.where) == parse_address(FINE)


def test_one_dictionary_for_all_bands_reads_and_rebuilds_one_point() -> None:
    run = jobs.new_run("train", config_of("shared", trajectory="shared"))
    with pytest.raises(WorkbenchError, match="cannot share a dictionary"):
        execute(run)


def test_a_graph_of_such_levels_is_refused_in_a_sentence(probe: Probe) -> None:
    """The transcoder stands in the pair that is tested last; nothing is worked on before it is refused."""
    how = {"steps": 20, "batch": 128}
    plain = {"n_latents": 48, "k": 4, "optimiser": how}
    low = plain | {"autoencoder": "transcoder", "depth": 0.1, "predicts": LEAVES}
    levels = {"low": low, "middle": plain | {"depth": 0.5}, "high": plain | {"depth": 0.9}}
    assert execute(jobs.new_run("train", config_of("writes", **levels))) is not None
    for name, said in (("places", "2 hook points at once"), ("writes", f"reads at {ENTERS} and writes at {LEAVES}")):
        config = GraphConfig(name="g", probe=name)
        run = jobs.new_run("graph", config)
        with pytest.raises(WorkbenchError, match=said):
            extract(config, run)
        assert "proposing" not in run.status().message
