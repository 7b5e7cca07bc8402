from __future__ import annotations

from pathlib import Path

import pytest

from app import jobs
from app.components.curves import MOST_POINTS, QUANTITIES, curve_figure, thinned
from app.watching import look, table
from app.worker import execute
from probes.errors import WorkbenchError
from probes.runs import Run
from tests.fixtures import fake_job
from tests.fixtures.fake_job import FakeConfig
from tests.fixtures.graphs import HOSTILE

LOSS = QUANTITIES[0]


@pytest.fixture(autouse=True)
def workbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    monkeypatch.setattr(jobs, "JOBS", dict(jobs.JOBS))
    fake_job.register()


def test_each_level_is_a_line_and_other_quantities_stay_out() -> None:
    rows = [
        {"step": 1, "low.loss": 2.0, "low.l0": 9.0},
        {"step": 2, "low.loss": 1.0},
        {"step": 3, "high.loss": None},
    ]
    figure = curve_figure(rows, LOSS)
    assert [(line["name"], line["x"], line["y"]) for line in figure["data"]] == [
        ("low", [1, 2], [2.0, 1.0]),
        ("high", [3], [None]),
    ]
    assert len({(line["line"]["color"], line["line"]["dash"]) for line in figure["data"]}) == 2
    assert "low 1" in figure["label"]
    assert curve_figure(rows, QUANTITIES[3])["data"] == []


@pytest.mark.parametrize("length", [0, 1, MOST_POINTS, MOST_POINTS + 1, 3 * MOST_POINTS + 7, 100_000])
def test_long_curves_are_thinned_and_keep_their_last_point(length: int) -> None:
    kept = thinned(list(range(length)))
    assert len(kept) <= MOST_POINTS
    assert kept[:1] == list(range(length))[:1] and kept[-1:] == list(range(length))[-1:]
    assert len(kept) == length or length > MOST_POINTS


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_a_log_cannot_become_markup(name: str) -> None:
    (line,) = curve_figure([{"step": 1, f"{name}.loss": 1.0}], LOSS)["data"]
    assert "<" not in line["name"] and "\u202e" not in line["name"]


def test_a_finished_run_says_where_its_artefact_is() -> None:
    run = jobs.new_run("fake", FakeConfig(name="made"))
    execute(run)
    seen = look(run.slug)
    assert "probes/made" in seen.line and len(seen.rows) == 4
    assert (seen.active, seen.can_stop, seen.can_resume) == (False, False, False)


def test_a_failed_run_says_why_and_can_be_resumed() -> None:
    run = jobs.new_run("fake", FakeConfig(name="x", fail_at=2))
    with pytest.raises(WorkbenchError):
        execute(run)
    seen = look(run.slug)
    assert "it was told to. Do not tell it to." in seen.line
    assert seen.line.count("it was told to") == 1, "said once, with its remedy"
    assert seen.can_resume and not seen.can_stop


def test_a_lost_run_offers_to_resume() -> None:
    run = jobs.new_run("fake", FakeConfig(name="x"))
    run.begin()
    run.update(pid_start=1.0)
    seen = look(run.slug)
    assert seen.state == "lost" and seen.can_resume and "Resume" in seen.line


def test_the_table_lists_readable_runs_and_counts_the_rest(tmp_path: Path) -> None:
    run = jobs.new_run("fake", FakeConfig(name="x", fail_at=2, steps=4))
    with pytest.raises(WorkbenchError):
        execute(run)
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "config.json").write_text("{")
    rows, unreadable = table()
    assert unreadable == 1
    assert [row[:4] for row in rows] == [["x", "fake", "failed", "50% of 4"]]
    assert "told to" in rows[0][5]


@pytest.mark.parametrize("name", ["../x", "", "/etc", "a/b", "nothing"])
def test_only_runs_can_be_looked_at(name: str, tmp_path: Path) -> None:
    Run.create("fake", "x", FakeConfig(name="x"), command="")
    with pytest.raises(WorkbenchError):
        look(name)
