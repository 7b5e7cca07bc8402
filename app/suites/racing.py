"""Races of trainers, each in a process of its own, taking turns: A B C A B C, a few steps at a time.

Two processes never work at once, so that they do not compete; taking turns lets a slow minute of the machine
fall on all alike. Time is CPU time of the process, beside wall time.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from probes.errors import WorkbenchError
from probes.provenance import ROOT

Setting = Mapping[str, float | int]
WORKER = "tests.benchmarks.worker"


class Times(NamedTuple):
    """Seconds of each timed step, in order."""

    cpu: list[float]
    wall: list[float]


class Racer:
    """One trainer's process, which does what it is told and nothing else."""

    def __init__(self, name: str, python: Path, setting: Setting, log: Path) -> None:
        self.name = name
        self._log = log.open("wb")
        self._log_path = log
        quiet = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
        self._process = subprocess.Popen(
            [str(python), "-P", "-m", WORKER, name, json.dumps(dict(setting))],
            cwd=log.parent,
            env=os.environ | quiet | {"PYTHONPATH": str(ROOT), "FULCRUM_HOME": os.environ.get("FULCRUM_HOME", "")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def steps(self, count: int) -> Times:
        """Take so many steps now."""
        found = self._ask({"steps": count})
        return Times(found["cpu"], found["wall"])

    def figures(self) -> dict[str, float]:
        """Peak memory in MiB (`peak`) and, of a trainer, the share of variance left `unexplained`."""
        return {name: float(value) for name, value in self._ask({"figures": True}).items()}

    def close(self) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it ended by itself; what it said is told elsewhere
                self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:
            answer = ""
        if not answer:
            said = self._log_path.read_text("utf-8", "replace").strip().splitlines()
            raise WorkbenchError(
                "benchmark-failed",
                f"The trainer {self.name} ended early",
                said[-1][:300] if said else "it said nothing",
                f"See {self._log_path}.",
            )
        found: dict[str, Any] = json.loads(answer)
        return found


@contextmanager
def racers(names: Sequence[str], python: Path, setting: Setting, folder: Path) -> Iterator[list[Racer]]:
    """Trainers at the start, all given the same setting; ended with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        started = []
        for number, name in enumerate(names):
            racer = Racer(name, python, setting, folder / f"trainer-{number}.txt")
            stack.callback(racer.close)
            started.append(racer)
        yield started


def race(
    started: Sequence[Racer],
    *,
    rounds: int,
    steps: int,
    warm_up: int = 1,
    between: Callable[[str], None] = lambda said: None,
) -> dict[str, Times]:
    """Seconds per step of each, `rounds * steps` of them, after untimed first steps. Turns go back and forth."""
    found = {racer.name: Times([], []) for racer in started}
    for racer in started:
        racer.steps(warm_up)
    for number in range(rounds):
        for racer in started if number % 2 == 0 else reversed(started):
            between(f"round {number + 1} of {rounds}: {racer.name}")
            times = racer.steps(steps)
            found[racer.name].cpu.extend(times.cpu)
            found[racer.name].wall.extend(times.wall)
    return found
