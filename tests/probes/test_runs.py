from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import Field

from probes import runs as runs_module
from probes.artefacts import write_manifest
from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.files import commit_directory
from probes.metrics_log import read_rows
from probes.runs import Run, all_runs, scan_runs


class Config(Frozen):
    steps: int = Field(default=3, description="Steps.")
    seed: int = Field(default=7, description="Seed.")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def run() -> Run:
    return Run.create("train", "My run", Config(), command="python -m app train")


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\nfrom probes.runs import Run\nrun = Run.open(sys.argv[1])\n" + code,
        ]
        + [str(argument) for argument in arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_run_keeps_what_it_was_asked_to_do(run: Run, home: Path) -> None:
    assert run.path == home / "runs" / "my-run"
    record = Run.open("my-run").record()
    assert (record.kind, record.name, record.config, record.seed) == (
        "train",
        "My run",
        {"steps": 3, "seed": 7},
        7,
    )
    assert record.command == "python -m app train"
    assert record.versions["python"]
    assert run.status().state == "queued"


def test_names_are_made_unique_and_stay_below_the_data_folder(run: Run, home: Path) -> None:
    again = Run.create("train", "My run", Config(), command="")
    hostile = Run.create("train", "../../etc/passwd", Config(), command="")
    long = [Run.create("train", "x" * 300, Config(), command="").slug for _ in range(2)]
    assert again.slug == "my-run-2"
    assert hostile.path.parent == home / "runs"
    assert len(set(long)) == 2 and max(map(len, long)) == 64


@pytest.mark.parametrize("ref", ["nothing", "../my-run/..", "", "..", "a/b", "x\x00y"])
def test_what_is_no_run_is_said_so(run: Run, ref: str) -> None:
    with pytest.raises((WorkbenchError, ValueError)) as caught:
        Run.open(ref)
    assert isinstance(caught.value, WorkbenchError)


def test_status_round_trip_and_rate(run: Run) -> None:
    run.begin(step=10, steps=110, message="going")
    run.update(step=60, seconds=25.0)
    status = run.status()
    assert status.state == "running" and status.pid == os.getpid()
    assert status.rate == pytest.approx(2.0, rel=0.01)
    assert status.seconds_left == pytest.approx(25.0, rel=0.01)


def test_what_is_counted_next_has_a_rate_of_its_own_and_the_seconds_go_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(runs_module.time, "monotonic", lambda: now[0])
    with run.lock():
        run.begin(steps=1000)
        now[0] += 10
        run.progress(1000, force=True)
        assert run.status().rate == pytest.approx(100, rel=0.01)
        run.begin(steps=8, message="something slower")
        assert run.status().rate is None
        now[0] += 4
        run.progress(2, force=True)
    status = run.status()
    assert status.rate == pytest.approx(0.5, rel=0.01) and status.seconds_left == pytest.approx(12, rel=0.01)
    assert status.seconds == pytest.approx(14)


def test_durations_do_not_follow_the_wall_clock(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.begin(steps=10)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    run.progress(1, force=True)
    status = run.status()
    assert status.state == "running"
    assert 0 <= status.seconds < 60


def test_a_dead_process_or_a_reused_pid_makes_a_run_lost(run: Run) -> None:
    run.begin()
    assert run.status().state == "running"
    run.update(pid_start=1.0)
    assert run.status().state == "lost"
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    run.update(pid=process.pid)
    assert run.status().state == "lost"


def test_another_machines_run_is_judged_by_its_heartbeat(run: Run) -> None:
    run.begin()
    run.update(host="elsewhere", pid=1, pid_start=1.0)
    assert run.status().state == "running"
    run.update(host="elsewhere", beat=time.time() - 3600)
    assert run.status().state == "lost"


def test_stop_is_a_request(run: Run) -> None:
    run.begin()
    assert not run.stop_requested()
    run.request_stop()
    assert run.stop_requested() and run.status().state == "stopping"
    run.clear_stop()
    assert run.status().state == "running"


def test_metrics_come_back_in_order_and_nan_is_null(run: Run) -> None:
    with run.lock():
        run.begin()
        run.log(1, loss=0.5, dead=float("nan"))
        run.log(2, loss=torch.tensor(0.25))  # type: ignore[arg-type]
    assert run.metrics() == [{"step": 1, "loss": 0.5, "dead": None}, {"step": 2, "loss": 0.25}]


def test_a_torn_tail_is_dropped_on_read_and_cut_before_the_next_row(run: Run) -> None:
    path = run.path / "metrics.jsonl"
    with run.lock():
        run.begin()
        for step in range(20):
            run.log(step, loss=step / 3)
    whole = path.read_bytes()
    for length in range(len(whole) - 80, len(whole)):
        path.write_bytes(whole[:length])
        complete = whole[:length].count(b"\n")
        assert len(run.metrics()) == complete
        with run.lock():
            run.log(99, loss=1.0)
        assert [row["step"] for row in run.metrics()] == [*range(complete), 99]


def test_a_hole_costs_one_row(run: Run) -> None:
    path = run.path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + b"\0" * 4096 + b'{"step": 2}\n{"step": 3}\n')
    assert [row["step"] for row in run.metrics()] == [1, 3]


def test_new_rows_can_be_read_alone(run: Run) -> None:
    with run.lock():
        run.log(1, loss=1.0)
        rows, end = read_rows(run.path / "metrics.jsonl")
        run.log(2, loss=2.0)
        assert read_rows(run.path / "metrics.jsonl", end)[0] == [{"step": 2, "loss": 2.0}]
    assert len(rows) == 1


def test_a_second_writer_is_refused_and_told_who_holds_the_run(run: Run) -> None:
    holder = child("with run.lock():\n run.begin(); print('held', flush=True); input()", run.path)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with pytest.raises(WorkbenchError, match=f"process {holder.pid} on "), run.lock():
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with run.lock():
        run.begin()
    assert run.status().pid == os.getpid()


def test_a_holder_that_has_ended_is_waited_for(run: Run) -> None:
    code = """
import time
with run.lock():
    run.begin()
    run.update(state='stopped')
    print('ended', flush=True)
    time.sleep(0.4)
"""
    holder = child(code, run.path)
    assert holder.stdout is not None and holder.stdout.readline() == "ended\n"
    with run.lock():
        run.begin()
    holder.wait()
    assert run.status().pid == os.getpid()


def test_one_writer_even_where_locks_always_succeed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = child("with run.lock():\n run.begin(); print('held', flush=True); input()", run.path)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    with pytest.raises(WorkbenchError) as caught, run.lock():
        pass
    holder.kill()
    holder.wait()
    assert caught.value.code == "run-busy"


HELD = "with run.lock():\n run.begin(); print('held', flush=True); input()"


def deleted(run: Run, home: Path) -> None:
    shutil.rmtree(home)


def half_deleted(run: Run, home: Path) -> None:
    """A deletion is not done at once: the lock may be the last to go."""
    (run.path / "status.json").unlink()


def replaced(run: Run, home: Path) -> None:
    """The home is moved away, and a new one has a run of the same name."""
    home.rename(home.with_name(f"{home.name}-moved"))
    assert Run.create("train", "My run", Config(), command="").slug == run.slug


def copied(run: Run, home: Path) -> None:
    shutil.copytree(home, home.with_name(f"{home.name}-copy"))
    shutil.rmtree(home)
    home.with_name(f"{home.name}-copy").rename(home)


def keeps_logging(run: Run) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        run.log(1, loss=1.0)
        time.sleep(0.05)


DONE_IN_A_LOST_FOLDER = {
    "update": lambda run: run.update(message="still here"),
    "begin": lambda run: run.begin(steps=3),
    "progress": lambda run: run.progress(2, force=True),
    "log": keeps_logging,
    "whether to stop": lambda run: run.stop_requested(),
    "checkpoint": lambda run: run.save_checkpoint(1, tensors(1), {}),
    "rewind": lambda run: run.rewind(None),
    "fail": lambda run: run.fail(WorkbenchError("code", "It failed", "because", "Do this.")),
    "a file of its own": lambda run: (run.path / "cells").mkdir(parents=True),
}


@pytest.mark.parametrize("lost", [deleted, half_deleted, replaced, copied])
@pytest.mark.parametrize("what", DONE_IN_A_LOST_FOLDER)
def test_a_run_that_lost_its_folder_stops_with_one_sentence_and_writes_nothing(
    what: str, lost: Callable[[Run, Path], None], run: Run, home: Path
) -> None:
    with run.lock():
        run.begin(steps=3)
        lost(run, home)
        before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
        with pytest.raises(WorkbenchError) as caught:
            DONE_IN_A_LOST_FOLDER[what](run)
    assert caught.value.code == "run-gone"
    assert str(caught.value).startswith("Run my-run has lost its folder: ") and str(run.path) in str(caught.value)
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before
    assert home.exists() == (lost is not deleted)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps names that are no files")
@pytest.mark.parametrize("lost", [deleted, replaced])
def test_a_second_writer_is_refused_while_one_works_in_a_folder_that_was_there_before(
    lost: Callable[[Run, Path], None], run: Run, home: Path
) -> None:
    holder = child(HELD, run.path)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    lost(run, home)
    again = Run.open(run.path) if run.path.exists() else Run.create("train", "My run", Config(), command="")
    assert again.path == run.path
    said = f"process {holder.pid} works in a folder of that name"
    with pytest.raises(WorkbenchError, match=said) as caught, again.lock():
        pass
    assert caught.value.code == "run-busy" and again.status().state == "queued"
    holder.kill()
    holder.wait()
    with again.lock():
        again.begin()
    assert again.status().pid == os.getpid()


def test_a_run_without_a_folder_cannot_be_locked(run: Run, home: Path) -> None:
    shutil.rmtree(home)
    with pytest.raises(WorkbenchError, match="has lost its folder"), run.lock():
        pass
    assert not home.exists()


def test_what_is_locked_here_is_free_again_afterwards(run: Run) -> None:
    for _ in range(3):
        with run.lock(), pytest.raises(WorkbenchError, match="is being worked on"), Run.open(run.path).lock():
            pass
    run.update(message="outside the lock")


def tensors(value: float) -> dict[str, dict[str, torch.Tensor]]:
    return {"model": {"w": torch.full((64, 64), value)}, "optimiser": {"m": torch.full((64,), value)}}


def test_checkpoints_round_trip_and_the_oldest_go(run: Run) -> None:
    with run.lock():
        for step in (1, 2, 3):
            run.log(step, loss=float(step))
            run.save_checkpoint(step, tensors(step), {"stage": "low", "step": step})
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == [
        "ckpt-00000002",
        "ckpt-00000003",
    ]
    latest = run.latest_checkpoint()
    assert latest is not None and latest.step == 3
    assert latest.state == {"stage": "low", "step": 3}
    assert torch.equal(latest.tensors("model")["w"], torch.full((64, 64), 3.0))
    assert latest.metrics_bytes == (run.path / "metrics.jsonl").stat().st_size


def test_a_run_knows_its_own_artefact_from_another_of_that_name(run: Run, home: Path) -> None:
    target = home / "probes" / "mine"
    assert not run.made(target)
    with commit_directory(target) as folder:
        write_manifest(folder, kind="probe", name="mine", run=run.slug)
    assert run.made(target)
    other = Run.create("train", "My run", Config(), command=run.record().command)
    with pytest.raises(WorkbenchError, match="never overwritten"):
        other.made(target)


def test_rewinding_cuts_what_came_after(run: Run) -> None:
    with run.lock():
        for step in range(1, 6):
            run.log(step, loss=float(step))
            if step in (2, 4):
                run.save_checkpoint(step, tensors(step), {})
    (run.path / "checkpoints" / "ckpt-00000004" / "model.safetensors").write_bytes(b"damaged")
    latest = run.latest_checkpoint()
    assert latest is not None and latest.step == 2
    with run.lock():
        run.rewind(latest)
        run.log(3, loss=33.0)
    assert [row["step"] for row in run.metrics()] == [1, 2, 3]
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["ckpt-00000002"]
    with run.lock():
        run.rewind(None)
    assert run.metrics() == [] and run.latest_checkpoint() is None


@pytest.mark.parametrize("name", ["MANIFEST.json", "state.json", "model.safetensors"])
def test_a_damaged_checkpoint_is_passed_over(run: Run, name: str) -> None:
    with run.lock():
        run.save_checkpoint(1, tensors(1), {"a": 1})
        run.save_checkpoint(2, tensors(2), {"a": 2})
    file = run.path / "checkpoints" / "ckpt-00000002" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    latest = run.latest_checkpoint()
    assert latest is not None and latest.step == 1


def test_non_finite_weights_never_become_a_checkpoint(run: Run) -> None:
    with run.lock():
        run.save_checkpoint(1, tensors(1), {})
        with pytest.raises(WorkbenchError, match="'w'"):
            run.save_checkpoint(2, tensors(float("nan")), {})
        with pytest.raises(WorkbenchError, match="JSON"):
            run.save_checkpoint(3, tensors(3), {"loss": float("nan")})
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["ckpt-00000001"]


SAVER = """
import torch
with run.lock():
    step = (run.latest_checkpoint() or type("None", (), {"step": 0})).step
    print("ready", flush=True)
    while True:
        step += 1
        run.log(step, loss=1.0)
        run.save_checkpoint(step, {"model": {"w": torch.full((400_000,), float(step))}}, {"step": step})
"""


def test_kills_in_the_middle_of_saving_never_cost_the_last_checkpoint(run: Run) -> None:
    newest = 0
    for delay in (0.02, 0.031, 0.044, 0.05, 0.067, 0.073, 0.089, 0.1):
        process = child(SAVER, run.path)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(delay)
        process.kill()
        process.wait()
        latest = run.latest_checkpoint()
        if latest is not None:
            assert latest.step >= newest
            assert torch.equal(latest.tensors("model")["w"], torch.full((400_000,), float(latest.step)))
            assert latest.state == {"step": latest.step}
            newest = latest.step
    assert newest > 0
    assert run.status().state in {"queued", "lost"}
    with run.lock():
        leftovers = list(run.path.rglob(".tmp-*"))
        run.rewind(run.latest_checkpoint())
    assert leftovers == []
    assert run.metrics()[-1]["step"] == newest


FULL = """
import resource, torch
from probes.errors import WorkbenchError
with run.lock():
    run.save_checkpoint(1, {"model": {"w": torch.ones(10)}}, {})
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    try:
        run.save_checkpoint(2, {"model": {"w": torch.ones(200_000)}}, {})
    except WorkbenchError as error:
        print(error.code, "|", error)
"""


def test_a_full_disk_keeps_the_last_good_checkpoint(run: Run) -> None:
    said, _ = child(FULL, run.path).communicate(timeout=60)
    assert said.startswith("disk-full |")
    assert "781.2 KiB needed" in said and "free" in said
    latest = run.latest_checkpoint()
    assert latest is not None and latest.step == 1
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["ckpt-00000001"]


def test_space_is_asked_for_before_a_checkpoint_is_begun(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.files.free_bytes", lambda path: 1000)
    with run.lock(), pytest.raises(WorkbenchError, match="1000 bytes free"):
        run.save_checkpoint(1, tensors(1), {})
    assert list((run.path / "checkpoints").iterdir()) == []


def test_metrics_survive_a_full_disk_without_a_torn_row(run: Run) -> None:
    code = """
import resource
from probes.errors import WorkbenchError
with run.lock():
    run.log(1, loss=1.0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))
    try:
        run.log(2, loss=2.0)
    except WorkbenchError as error:
        print(error.code)
"""
    said, _ = child(code, run.path).communicate(timeout=60)
    assert said == "disk-full\n"
    assert (run.path / "metrics.jsonl").read_text() == '{"step": 1, "loss": 1.0}\n'


def test_failures_are_recorded(run: Run) -> None:
    error = WorkbenchError("code", "It failed", "because", "Do this.")
    run.begin()
    run.fail(error)
    assert run.status().state == "failed"
    assert run.error() == error.as_json()


def test_runs_are_listed_newest_first_and_unreadable_ones_counted(run: Run, home: Path) -> None:
    second = Run.create("graph", "second", Config(), command="")
    record = json.loads((second.path / "config.json").read_text())
    (second.path / "config.json").write_text(json.dumps(record | {"created": "2999-01-01T00:00:00+00:00"}))
    (home / "runs" / "broken").mkdir()
    (home / "runs" / "broken" / "config.json").write_text("{")
    (home / "runs" / "empty").mkdir()
    (home / "runs" / ".hidden").mkdir()
    found, unreadable = scan_runs()
    assert [r.slug for r in found] == ["second", "my-run"]
    assert unreadable == 2
    assert [r.slug for r in all_runs()] == ["second", "my-run"]


def test_listing_works_where_nothing_exists(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULCRUM_HOME", str(home / "nowhere"))
    assert all_runs() == []


def test_runs_import_no_torch() -> None:
    code = "import sys, probes.runs, probes.artefacts; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert runs_module.ACTIVE
