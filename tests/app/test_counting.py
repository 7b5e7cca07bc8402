"""Parts of an evaluation are counted where the run is read: how many, at what rate, how long still."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.progress import counted, one_line
from app.watching import share
from probes.configs import Frozen
from probes.errors import Stopped
from probes.runs import Run


class Config(Frozen):
    """Nothing to set."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    return Run.create("evaluate", "counted", Config(), command="")


def test_items_come_in_order_and_the_line_says_how_many_are_done(run: Run) -> None:
    with run.lock():
        letters = counted(run, iter("abc"), "measuring letters")
        lines = [(letter, one_line("evaluate", run.status())) for letter in letters]
        status = run.status()
    assert [item for item, _ in lines] == ["a", "b", "c"]
    assert "0/3" in lines[0][1] and "2/3" in lines[2][1] and "measuring letters" in lines[2][1]
    assert "a second" in lines[2][1] and (status.step, status.steps) == (3, 3)


def test_a_finished_run_is_not_said_to_be_at_part_of_its_last_part(run: Run) -> None:
    with run.lock():
        run.begin(steps=3, message="blocks")
        run.progress(2, force=True)
        run.update(state="done", message="")
    assert one_line("train", run.status()) == "train  done" and share(run.status()) == "100%"


def test_a_request_to_stop_is_heard_between_two_items(run: Run) -> None:
    with run.lock():
        numbers = counted(run, [1, 2, 3], "counting")
        assert next(numbers) == 1
        run.request_stop()
        with pytest.raises(Stopped):
            next(numbers)
        assert run.status().step == 1
