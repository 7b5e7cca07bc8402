"""The speed suite: turns, medians and ratios; a race of small trainers end to end."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from app.suites.capture_speed import capture_rows
from app.suites.racing import Times, race, racers
from app.suites.rows import Row
from app.suites.speed import SpeedConfig, median_row, ratio_row, speed
from probes.errors import WorkbenchError
from probes.runs import Run
from tests.benchmarks.channel import Channel, Finished
from tests.benchmarks.setting import Setting, unexplained


class Runner:
    """Takes one second more per step with every turn of anybody."""

    turns: list[str] = []

    def __init__(self, name: str) -> None:
        self.name = name

    def steps(self, count: int) -> Times:
        self.turns.append(self.name)
        return Times([float(len(self.turns))] * count, [0.0] * count)


def test_trainers_take_turns_back_and_forth_and_first_steps_are_not_counted() -> None:
    Runner.turns = []
    found = race([Runner("a"), Runner("b")], rounds=3, steps=2)  # type: ignore[list-item]
    assert "".join(Runner.turns) == "ab" + "ab" + "ba" + "ab"
    assert found["a"].cpu == [3, 3, 6, 6, 7, 7]
    assert sum(found["b"].cpu) - sum(found["a"].cpu) == 2 * (1 - 1 + 1)


def test_a_row_is_the_median_with_its_interval_and_a_ratio_keeps_pairs_together() -> None:
    row = median_row("x", [1.0, 2.0, 30.0], unit="s", better="down")
    assert (row.value, row.n) == (2.0, 3)
    assert row.low is not None and row.high is not None and row.low <= 2.0 <= row.high
    slow, fast = Times([2.0, 4.0, 20.0], []), Times([1.0, 2.0, 10.0], [])
    row = ratio_row("y", slow, fast, unit="times", aim=2.5)
    assert (row.value, row.low, row.high, row.aim) == (2.0, 2.0, 2.0, 2.5)


def test_a_trainer_that_cannot_start_is_named_with_its_own_last_words(tmp_path: Path) -> None:
    setting: dict[str, Any] = {"d": 8, "n": 16, "k": 2, "batch": 64}
    with (
        racers(["nobody's"], Path(sys.executable), setting, tmp_path) as started,
        pytest.raises(WorkbenchError, match=r"The trainer nobody's ended early: .*nobody's"),
    ):
        started[0].steps(1)


def test_a_channel_times_what_lies_between_two_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [{"steps": 2}, {"figures": True}, {"steps": 1}, {"stop": True}]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(json.dumps(command) + "\n" for command in commands)))
    reading, writing = os.pipe()
    channel, marked = Channel([torch.zeros(1), torch.ones(1)], writing), []
    channel.mark, channel.figures = lambda: marked.append(1), lambda: {"unexplained": 0.5}
    batches = []
    with suppress(Finished):
        for batch in channel:
            batches.append(float(batch))  # noqa: PERF401 (what came before the end is kept)
    channel._answers.close()
    with os.fdopen(reading) as answers:
        said: list[dict[str, Any]] = [json.loads(line) for line in answers]
    assert batches == [0, 1, 0] and len(marked) == 3
    assert [len(answer.get("cpu", [])) for answer in said] == [2, 0, 1]
    assert said[1] == {"peak": 0.0, "unexplained": 0.5}


def test_all_trainers_get_the_same_problem() -> None:
    setting = Setting(d=8, n=20, k=2, batch=64, dead=0.3, pool=2)
    first, again = setting.batches(), setting.batches()
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    assert (setting.bias() < -1).sum() == len(setting.dead_latents()) == 6
    assert unexplained(first[0], first[0]) == 0
    assert unexplained(first[0], first[0].mean(dim=0).expand(64, 8)) == pytest.approx(1)


def test_races_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="differ in length"):
        list(speed(SpeedConfig(widths=(8,)), Run.create("evaluate", "odd races", SpeedConfig(), command="")))


@pytest.mark.slow
def test_latents_held_dead_leave_the_live_ones_to_learn(tmp_path: Path) -> None:
    """Dense autograd without any auxiliary loss is the measure: it never sees the dead."""
    setting: Any = {"d": 128, "n": 1024, "k": 16, "batch": 1024, "dead": 0.3}
    with racers(["ours", "dense"], Path(sys.executable), setting, tmp_path) as started:
        for racer in started:
            racer.steps(16)
        ours, dense = (racer.figures()["unexplained"] for racer in started)
    assert ours == pytest.approx(dense, rel=0.02)


@pytest.mark.slow
def test_a_small_race_has_every_row() -> None:
    config = SpeedConfig(
        parts=("step", "dead", "memory", "loss"), widths=(16,), latents=(128,), k=4, batch=64, rounds=2, loss_steps=5
    )
    run = Run.create("evaluate", "small race", config, command="")
    with run.lock():
        rows: dict[str, Row] = {row.name: row for row in speed(config, run)}
    assert rows["step.d16-n128.ours.cpu"].n == 4
    assert 0 < (rows["step.d16-n128.ours bf16.share"].value or 0) < 1
    assert rows["memory.d16-n128.ours"].value is not None
    for trainer in ("ours", "ours bf16", "ours torch only", "ours torch only bf16"):
        assert (rows[f"loss.{trainer}"].value or 0) < 0.001
    assert {"step.d16-n128.dead30%.ours.cpu", "machine.load"} <= rows.keys()


@pytest.mark.slow
@pytest.mark.model
def test_capture_stops_early_in_both_number_types(smollm2: object) -> None:
    rows = {row.name: row for row in capture_rows(2)}
    for kind in ("f32", "bf16"):
        assert (rows[f"capture.{kind}.early stop"].value or 0) > 1
    assert rows["capture.capture f32.cpu"].n == 2
