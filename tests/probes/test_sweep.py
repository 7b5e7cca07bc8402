"""A sweep trains every config as if alone, reads each batch once, resumes bit for bit and ends in a table."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from app import jobs
from app.commands import main
from app.progress import printed, summary
from app.worker import execute
from probes.activations.rows import MixedRows
from probes.activations.store import ActivationStore
from probes.artefacts import read_manifest, resolve
from probes.configs import validated
from probes.errors import WorkbenchError
from probes.files import read_json, sha256_of
from probes.hierarchy.probe import open_probe
from probes.hierarchy.sweep import SweepConfig, SweepTable, entries_of, parsed_grid
from probes.hierarchy.train_level import level_objective, rows_for
from probes.runs import Run, all_runs
from probes.training.loop import Progress, train
from probes.training.together import Member, train_together
from probes.training.trainee import Trainee
from tests.fixtures.stores import make_store

LEVEL: dict[str, Any] = {
    "n_latents": 48,
    "k": 3,
    "dead_after": 300,
    "optimiser": {"steps": 24, "batch": 96, "log_every": 3, "checkpoint_every": 7, "warm_up": 0.5},
}
QUIET = Progress(lambda *_: None, lambda: False, lambda *_: None)


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("sweeps")
        patch.setenv("FULCRUM_HOME", str(path))
        make_store(path / "stores" / "toy")
        yield path


def config_of(name: str = "s", **rest: Any) -> SweepConfig:
    return SweepConfig.model_validate({"name": name, "store": "toy", "level": LEVEL, **rest})


# -- what is trained ----------------------------------------------------------------------------------------


def test_a_grid_is_read_from_text_and_every_combination_is_an_entry() -> None:
    assert parsed_grid("k=2,4 optimiser.schedule=cosine") == {"k": (2, 4), "optimiser.schedule": ("cosine",)}
    entries = entries_of(config_of(grid="k=2,4 optimiser.learning_rate=1e-3,2e-3 seed=0,1"))
    assert len(entries) == 8 and len({entry.label for entry in entries}) == 8
    assert entries[0].label == "k=2 learning_rate=0.001 seed=0"
    last = entries[-1]
    assert (last.level.k, last.level.optimiser.learning_rate, last.seed) == (4, 2e-3, 1)
    assert last.level.optimiser.steps == 24 and last.level.n_latents == 48


def test_a_list_of_configs_is_crossed_with_the_grid_and_nothing_is_one_config() -> None:
    partial = [{"k": 2}, {"k": 4, "optimiser": {"steps": 12}}]
    entries = entries_of(config_of(configs=partial, grid={"n_latents": [32, 64]}))
    assert [(e.level.k, e.level.n_latents, e.level.optimiser.steps) for e in entries] == [
        (2, 32, 24),
        (2, 64, 24),
        (4, 32, 12),
        (4, 64, 12),
    ]
    assert [entry.label for entry in entries_of(config_of())] == ["base"]


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ({"grid": "depth=0.2,0.5"}, "another stream"),
        ({"grid": "optimiser.batch=32,64"}, "another stream"),
        ({"grid": "k=2,2"}, "twice"),
        ({"grid": "colour=1"}, "colour"),
        ({"grid": "k=2,many"}, "k"),
        ({"grid": "seed=0.5"}, "whole number"),
        ({"grid": {"k": list(range(1, 21)), "seed": list(range(20))}}, "at most"),
    ],
)
def test_what_cannot_be_part_of_a_sweep_is_refused(rest: dict[str, Any], said: str) -> None:
    with pytest.raises(WorkbenchError, match=said):
        entries_of(config_of(**rest))


def test_text_that_is_no_grid_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="no field=value"):
        validated(SweepConfig, {"name": "s", "store": "toy", "grid": "k"}, what="The sweep")


# -- training together ----------------------------------------------------------------------------------------


def store_rows(config: SweepConfig) -> MixedRows:
    return rows_for(ActivationStore(resolve("toy", "store")), config.level, config.seed)


def members_of(config: SweepConfig, rows: MixedRows) -> list[Member]:
    return [
        Member(entry.label, Trainee(level_objective(rows, entry.level, entry.seed), entry.level.optimiser))
        for entry in entries_of(config)
    ]


def together(members: list[Member], batch_at: Any, progress: Progress = QUIET, **rest: Any) -> str:
    return train_together(members, batch_at, progress, log_every=3, checkpoint_every=7, **rest)


def test_each_member_ends_as_it_would_alone_and_each_batch_is_read_once() -> None:
    config = config_of(configs=[{"k": 2}, {"k": 3, "optimiser": {"steps": 10, "average": 0.9}}], grid="seed=0,1")
    rows = store_rows(config)
    members = members_of(config, rows)
    read: list[int] = []
    assert together(members, lambda step: (read.append(step), rows.batch_at(step))[1]) == "done"
    assert read == list(range(24))
    for entry, member in zip(entries_of(config), members, strict=True):
        alone = level_objective(rows, entry.level, entry.seed)
        train(alone, rows.batch_at, entry.level.optimiser, QUIET)
        for name, tensor in alone.module().state_dict().items():
            assert torch.equal(tensor, member.trainee.module.state_dict()[name]), (entry.label, name)


def test_one_that_diverges_is_given_up_and_the_others_go_on() -> None:
    config = config_of(grid="k=2,3")
    rows = store_rows(config)
    members = members_of(config, rows)
    bad = members[0].trainee.objective
    whole = type(bad).terms

    def terms(step: int, found: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value * torch.nan for name, value in found.items()} if step >= 5 else found

    object.__setattr__(bad, "terms", lambda batch, step: terms(step, whole(bad, batch, step)))
    logged: list[dict[str, float]] = []
    assert together(members, rows.batch_at, Progress(lambda _, v: logged.append(v), lambda: False, lambda *_: None))
    assert "step 14" in members[0].failed and not members[1].failed
    assert {name.partition(".")[0] for name in logged[-1]} == {"k=3"}
    assert {name.partition(".")[0] for name in logged[0]} == {"k=2", "k=3"}


# -- as a run ---------------------------------------------------------------------------------------------------

FLAGS = "--store toy --level.n_latents 48 --level.k 3 --level.dead_after 300 --level.optimiser.steps 24 " + (
    "--level.optimiser.batch 96 --level.optimiser.log_every 3 --level.optimiser.checkpoint_every 7"
)


@pytest.fixture(scope="module")
def finished(home: Path) -> Run:
    asked = ["sweep", "--name", "grid", "--grid", "k=2,4 optimiser.average=0.0,0.9", *FLAGS.split()]
    assert main(asked) == 0
    return next(run for run in all_runs() if run.record().name == "grid")


def test_a_sweep_leaves_probes_a_table_and_curves_of_every_config(finished: Run, home: Path) -> None:
    folder = home / "sweeps" / "grid"
    table = SweepTable.model_validate(read_json(folder / "sweep.json"))
    assert [row.label for row in table.rows] == [f"k={k} average={d}" for k in (2, 4) for d in ("0.0", "0.9")]
    for number, row in enumerate(table.rows, 1):
        assert row.probe == f"grid-{number}" and row.seconds > 0 and not row.failed
        probe = open_probe(row.probe)
        assert probe.levels[0].record.figures == row.figures
        assert row.figures["l0"] == pytest.approx(row.level.k, rel=0.3)
    last = finished.metrics()[-1]
    assert {name.rpartition(".")[0] for name in last} - {""} == {row.label for row in table.rows}
    assert finished.status().steps == 24 and read_manifest(folder, verify=True).kind == "sweep"


def test_the_table_is_printed_and_the_recorded_command_asks_for_the_same(
    finished: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    said = printed(summary(finished)).splitlines()
    head = next(line for line in said if "explained_variance" in line)
    assert "probe" in head and "seconds" in head
    assert sum(line.strip().startswith("k=") for line in said) == 4
    words = shlex.split(finished.record().command)
    assert words[:4] == ["python", "-m", "app", "sweep"]
    assert main([*words[3:], "--name", "again"]) == 0
    run = next(run for run in all_runs() if run.record().name == "again")
    assert {**run.record().config, "name": "grid"} == finished.record().config


@pytest.mark.parametrize("cut", [5, 16])
def test_a_stopped_sweep_ends_bit_for_bit_as_a_whole_one(
    cut: int, finished: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SweepConfig.model_validate({**finished.record().config, "name": f"cut-{cut}"})
    run = jobs.new_run("sweep", config)
    asked = iter(range(1000))
    with monkeypatch.context() as patch:
        patch.setattr(Run, "stop_requested", lambda self: next(asked) >= cut)
        assert execute(run) is None
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None and checkpoint.step == cut
    jobs.prepare(run)
    assert execute(run) is not None
    assert run.metrics() == finished.metrics()
    for number in range(1, 5):
        ours, theirs = (
            home / "probes" / f"{name}-{number}" / "level-sweep.safetensors" for name in (config.name, "grid")
        )
        assert sha256_of(ours) == sha256_of(theirs)


def test_a_name_that_is_taken_is_refused_before_anything_is_trained(finished: Run) -> None:
    config = SweepConfig.model_validate({**finished.record().config, "name": "grid"})
    run = jobs.new_run("sweep", config)
    with pytest.raises(WorkbenchError, match="exists"):
        execute(run)
    assert run.metrics() == []
