"""The suite of the grid: rows of every pair, a table of every cell, and going on after a stop."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from app import jobs
from app.grid_cells import measure_table
from app.grids import kept_cells
from app.suites.grid import FOUND, TABLE
from app.worker import execute
from concept_graphs.text import number
from probes.files import read_json
from probes.representations.cell import NONE
from probes.runs import Run
from tests.fixtures.suites import few_resamples, rows_of

SMALL: dict[str, Any] = {
    "tasks": ["reconstruction", "supervised", "next_step"],
    "constraints": ["conditional_prior", "temporal_prior"],
    "restarts": 2,
    "network": {"width": 16, "rows": 400, "scale_after": 5, "optimiser": {"steps": 12, "batch": 64}},
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    few_resamples(monkeypatch)


def made(name: str) -> Run:
    return jobs.new_run("evaluate", jobs.config_for("evaluate", {"suite": "grid", "name": name, "grid": SMALL}, "tiny"))


def test_rows_say_what_a_constraint_gains_and_whether_it_depends_on_the_task() -> None:
    run = made("grid")
    rows = rows_of(execute(run))
    for task in ("reconstruction", "supervised"):
        alone, beside = (rows[f"{task}.{name}.mcc"] for name in (NONE, "conditional_prior"))
        gained = rows[f"{task}.conditional_prior.mcc_gained"].value
        assert gained == pytest.approx(beside.value - alone.value) and alone.baseline is not None  # type: ignore[operator]
        assert rows[f"{task}.conditional_prior.weight"].value == 0.3
        assert 0 < rows[f"{task}.{NONE}.consistency"].value <= 1  # type: ignore[operator]
    shares = [rows[f"variance.mcc.{part}"].value for part in ("task", "constraint", "world", "left", "interaction")]
    assert sum(shares) == pytest.approx(1.0)  # type: ignore[arg-type]
    found = read_json(run.path / FOUND)
    assert {refusal["constraint"] for refusal in found["refused"] if refusal["task"] != "next_step"} == {
        "temporal_prior"
    }
    assert "2 tasks x 2 constraints" in rows["variance.mcc.p"].note, "a task that cannot be had leaves the others"
    assert "lag" in found["refused"][0]["reason"] and found["factors"] == ["z1", "z2", "z3", "z4"] and found["card"]
    assert found["told"] == {"supervised": "answers"}
    assert rows["supervised.conditional_prior.mcc_gained"].note == "supervised is told answers"
    assert rows["reconstruction.conditional_prior.mcc"].note == ""
    table = list(csv.DictReader(io.StringIO((run.path / TABLE).read_text())))
    assert len(table) == len(list((run.path / "cells").glob("*.json")))
    header = (run.path / TABLE).read_text().splitlines()[0].split(",")
    assert len(set(header)) == len(header), "a number was called like a column that says which cell it is of"
    assert {line["task"] for line in table} == {"reconstruction", "supervised"} and float(table[0]["task_loss"]) > 0
    assert {line["task"]: line["told"] for line in table}["supervised"] == "supervised is told answers"
    assert sum(int(line["counts"]) for line in table) == 2 * 2 * 2, "one start per pair and world counts"
    alone = [line for line in table if (line["task"], line["constraint"]) == ("reconstruction", NONE)]
    chosen = {line["seed"]: line for line in alone if line["counts"] == "1"}
    assert all(float(line["objective"]) >= float(chosen[line["seed"]]["objective"]) for line in alone)
    paid = sum(float(line["mcc"]) for line in chosen.values()) / 2 - sum(float(line["mcc"]) for line in alone) / 4
    assert rows[f"reconstruction.{NONE}.mcc_by_choice"].value == pytest.approx(paid, abs=1e-5)


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        ({"kind": "ball_room", "size": 16}, ""),
        ({"kind": "vectors"}, "none belong to: still"),  # every factor of it changes with the domain
    ],
)
def test_blocks_are_measured_where_the_world_has_them_and_left_out_with_a_reason_elsewhere(
    world: dict[str, Any], reason: str
) -> None:
    asked = {"tasks": ["reconstruction"], "constraints": ["invariant_split"], "restarts": 1, "seeds": 1, "world": world}
    values = {"suite": "grid", "name": "blocks", "grid": SMALL | asked}
    run = jobs.new_run("evaluate", jobs.config_for("evaluate", values, "tiny"))
    rows, stage = rows_of(execute(run)), "reconstruction.invariant_split"
    told = {name: {row for row in rows if row.endswith(f".{name}")} for name in ("irs", "block_r2", "block_leak")}
    assert len(told["irs"]) == 2 and 0 < rows[f"reconstruction.{NONE}.irs"].value < 1  # type: ignore[operator]
    assert told["block_r2"] | told["block_leak"] == (set() if reason else {f"{stage}.block_r2", f"{stage}.block_leak"})
    table = {line["constraint"]: line for line in csv.DictReader(io.StringIO((run.path / TABLE).read_text()))}
    shown = {
        line[0]: line[1:]
        for cell in kept_cells(run)
        if cell.constraint == "invariant_split"
        for line in measure_table(cell)
    }
    why = read_json(run.path / FOUND)["left_out"]
    if reason:
        assert why.keys() == {stage} and reason in why[stage]["block_r2"]
        assert table["invariant_split"].get("block_r2", "") == ""
        assert shown["block r2 ↑"][0] == "–" and reason in shown["block r2 ↑"][1]
    else:
        assert why == {} and float(table["invariant_split"]["block.moving.r2"]) <= 1
        assert shown["block leak ↓"][0] == number(rows[f"{stage}.block_leak"].value)
        assert {"irs ↑", "moving: R²", "still: leak"} <= shown.keys()


def test_the_scores_of_a_release_stand_beside_ours_where_they_are_asked_for() -> None:
    asked = SMALL | {"tasks": ["supervised"], "constraints": [NONE], "restarts": 1, "seeds": 1}
    config = {"suite": "grid", "name": "published", "grid": asked | {"scoring": {"rows": 120, "published": True}}}
    rows = rows_of(execute(jobs.new_run("evaluate", jobs.config_for("evaluate", config, "tiny"))))
    theirs, ours = (rows[f"supervised.{NONE}.{name}"].value for name in ("published_mcc_video", "mcc"))
    assert theirs > ours  # type: ignore[operator]
    assert {f"supervised.{NONE}.published_{name}" for name in ("mcc", "r2", "r2_video")} <= rows.keys()
    assert not any("published" in name for name in rows_of(execute(made("plain"))))


def test_a_grid_that_was_stopped_goes_on_with_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    run, progress = made("grid"), Run.progress

    def stop_after_two(self: Run, step: int, **more: Any) -> None:
        progress(self, step, **more)
        if step == 2:
            self.request_stop()

    monkeypatch.setattr(Run, "progress", stop_after_two)
    assert execute(run) is None and run.status().state == "stopped"
    kept = {path.name: path.read_bytes() for path in (run.path / "cells").glob("*.json")}
    assert len(kept) == 2
    monkeypatch.setattr(Run, "progress", progress)
    run.clear_stop()
    rows = rows_of(execute(run))
    assert all((run.path / "cells" / name).read_bytes() == data for name, data in kept.items())
    whole = rows_of(execute(made("whole")))
    assert {name: row.value for name, row in rows.items()} == {name: row.value for name, row in whole.items()}
