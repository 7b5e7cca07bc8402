"""`torchrun -m app train`: the same run; a process that is killed ends the launcher, and the run goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import several
from app.commands import main
from probes.errors import WorkbenchError
from probes.followers import Follower
from probes.runs import Run
from tests.fixtures import lost_partner
from tests.fixtures.stores import make_store

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 240  # seconds: far less than the half hour that a partner waits for a dead one


def level(**rest: Any) -> dict[str, Any]:
    steps = {"steps": 20, "batch": 96, "log_every": 3, "checkpoint_every": 7, "warm_up": 0.5, **rest.pop("how", {})}
    return {"n_latents": 48, "k": 3, "dead_after": 300, "optimiser": steps, **rest}


def asked(name: str) -> dict[str, Any]:
    """The middle level's latents are divided, the others' rows; the lowest predicts another hook point."""
    return {
        "name": name,
        "store": "toy",
        "low": level(depth=0.2, autoencoder="transcoder", predicts="layers.1:out"),
        "middle": level(depth=0.5, how={"shards": 2, "average": 0.9}),
        "high": level(depth=0.8, span=4),
        "maps": {"rows": 2000, "minimum_rows": 5, "candidates": 8, "optimiser": {"steps": 10, "batch": 96}},
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("several")
        patch.setenv("FULCRUM_HOME", str(path))
        make_store(path / "stores" / "toy")
        yield path


def torchrun(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "FULCRUM_HOME": str(home)}
    return subprocess.run(
        [*launch, *words], cwd=home, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.mark.processes
def test_a_killed_process_ends_the_launcher_and_the_run_goes_on_to_the_same_end(home: Path) -> None:
    """Killed in the middle of the second level; compared with the same config trained by one process."""
    config = home / "cfg.json"
    config.write_text(json.dumps(asked("two")))
    begun = time.monotonic()
    lost = torchrun(home, lost_partner.__file__, "32", "train", str(config))
    assert lost.returncode != 0 and time.monotonic() - begun < PATIENCE
    run = Run.open("two")
    error, checkpoint = run.error(), run.latest_checkpoint()
    assert run.status().state in {"failed", "stopped"} and (error is None or error["code"] == "process-lost")
    assert checkpoint is not None and 20 < checkpoint.step < 32 and checkpoint.state["processes"] == 2
    assert run.record().command.startswith("torchrun --nproc-per-node 2 -m app train --name two")
    resumed = torchrun(home, "-m", "app", "work", "two", "--json")
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert json.loads(resumed.stdout)["state"] == "done"  # one object: only the first process speaks
    config.write_text(json.dumps(asked("one")))
    assert main(["train", str(config)]) == 0
    one, two = Run.open("one").metrics(), run.metrics()
    assert [row.keys() for row in one] == [row.keys() for row in two]
    for ours, theirs in zip(two, one, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-7)
    assert any(row.get("high.dead", 0) > 0 or row.get("low.dead", 0) > 0 for row in one)
    assert (home / "probes" / "two" / "manifest.json").is_file()


def test_only_what_is_divided_is_started_with_several_processes(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["report", "bundled/text"]) == 2
    said = capsys.readouterr().err
    assert "no job for several processes" in said
    monkeypatch.setenv("RANK", "1")
    assert main(["report", "bundled/text"]) == 2
    assert capsys.readouterr().err == ""


def test_one_process_makes_the_run_itself(home: Path) -> None:
    made = Run(home / "runs" / "x")
    with several.together(lambda: made) as run:
        assert run is made


def test_a_follower_reads_the_run_and_writes_nothing(home: Path) -> None:
    path = home / "runs" / "led"
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    before = {file: file.read_bytes() for file in path.iterdir()}
    follower = Follower(path)
    with follower.lock():
        follower.begin(step=0, steps=4, message="x")
        follower.update(state="done")
        follower.progress(1, force=True)
        follower.log(1, loss=1.0)
        follower.save_checkpoint(1, {}, {})
        follower.rewind(None)
        follower.fail(WorkbenchError("a", "b", "c", "d"))
    follower.request_stop()
    assert not follower.stop_requested() and follower.latest_checkpoint() is None
    (path / "STOP").unlink()
    assert {file: file.read_bytes() for file in path.iterdir()} == before
