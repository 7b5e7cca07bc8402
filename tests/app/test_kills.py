"""Training that is killed with SIGKILL at chosen moments and resumed ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import jobs
from app.worker import execute
from probes.backends.minimality_config import Config
from probes.files import sha256_of
from probes.runs import Run
from tests.fixtures import killed_training
from tests.fixtures.stores import make_store

ROOT = Path(__file__).resolve().parents[2]
# moment, at which occurrence of it: in mid-epoch, in mid-warm-up, with dead latents, at every stage
KILLS = [
    ("while the weights are written", 2),
    ("while the moments are written", 6),
    ("before the state is there", 3),
    ("before the manifest is there", 5),
    ("before a checkpoint is renamed", 1),
    ("before a checkpoint is renamed", 4),
    ("after a checkpoint was renamed", 3),
    ("while a row of metrics is written", 7),
    ("while a finished level is written", 1),
    ("after a level was finished", 2),
    ("before the probe is renamed", 1),
    ("after the probe was renamed", 1),
]


def level(*, optimiser: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    steps = {"steps": 26, "batch": 96, "log_every": 3, "checkpoint_every": 7, "warm_up": 0.5, **(optimiser or {})}
    return {"n_latents": 48, "k": 3, "dead_after": 300, "optimiser": steps, **rest}


def new_run(name: str) -> Run:
    gates = {"steps": 20, "batch": 96, "learning_rate": 0.03}
    values = {
        "name": name,
        "store": "toy",
        "low": level(depth=0.2),
        "middle": level(depth=0.5, optimiser={"average": 0.9, "precision": "bfloat16", "schedule": "cosine"}),
        "high": level(depth=0.8, span=4),
        "maps": {"rows": 4000, "minimum_rows": 5, "candidates": 8, "optimiser": gates},
    }
    return jobs.new_run("train", Config.model_validate(values))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("kills")
        patch.setenv("FULCRUM_HOME", str(path))
        make_store(path / "stores" / "toy")
        yield path


@pytest.fixture(scope="module")
def uninterrupted(home: Path) -> Run:
    run = new_run("whole")
    assert execute(run) is not None
    return run


@pytest.fixture(scope="module")
def killed(home: Path) -> list[Run]:
    """One run per row of `KILLS`, each killed at its moment."""
    runs = [new_run(f"killed-{number}") for number in range(len(KILLS))]
    given = [str(word) for run, kill in zip(runs, KILLS, strict=True) for word in (run.slug, *kill)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", killed_training.__file__, *given]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    deaths = dict(line.split() for line in done.stdout.splitlines())
    assert deaths == {run.slug: str(int(signal.SIGKILL)) for run in runs}, done.stderr[-2000:]
    return runs


def content(run: Run) -> dict[str, str]:
    """Hash of every file of the probe but its manifest (which holds names and times)."""
    folder = run.path.parents[1] / "probes" / run.slug
    return {path.name: sha256_of(path) for path in folder.iterdir() if path.name != "manifest.json"}


def last_state(run: Run) -> dict[str, str]:
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None
    return {path.name: sha256_of(path) for path in checkpoint.path.iterdir()}


@pytest.mark.parametrize("number", range(len(KILLS)), ids=[f"{moment} ({at})" for moment, at in KILLS])
def test_a_killed_training_ends_bit_for_bit_as_an_uninterrupted_one(
    number: int, killed: list[Run], uninterrupted: Run
) -> None:
    run = killed[number]
    assert run.status().state == "lost"
    jobs.prepare(run)
    assert execute(run) is not None
    assert run.status().state == "done"
    assert content(run) == content(uninterrupted)
    assert last_state(run) == last_state(uninterrupted)
    assert run.metrics() == uninterrupted.metrics()
    left = [*run.path.rglob(".tmp-*"), *(run.path.parents[1] / "probes").glob(".tmp-*")]
    assert [path.name for path in left] == []


def test_the_training_above_is_hard_to_resume(uninterrupted: Run) -> None:
    """Else the comparison would prove little: latents die and come back, terms beside the first matter."""
    rows = uninterrupted.metrics()
    assert max(row.get("low.dead", 0.0) for row in rows) > 0
    assert any(value > 0 for row in rows for name, value in row.items() if "reviv" in name)
    assert {name.partition(".")[0] for row in rows for name in row} == {"step", "low", "middle", "high"}
