from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from app import jobs
from app.worker import execute
from probes.artefacts import home
from probes.errors import WorkbenchError
from probes.runs import ACTIVE, Run
from tests.fixtures import fake_job
from tests.fixtures.fake_job import FakeConfig

WORKER = [sys.executable, "-P", fake_job.__file__]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def workbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    monkeypatch.setattr(jobs, "JOBS", dict(jobs.JOBS))
    monkeypatch.setattr(jobs, "WORKER", WORKER)
    fake_job.register()
    yield
    for path in (tmp_path / "runs").glob("*"):
        pid = Run.open(path).status().pid
        if pid not in (None, os.getpid()) and psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def slow(name: str = "slow") -> Run:
    run = jobs.new_run("fake", FakeConfig(name=name, steps=5000, pause=0.01))
    jobs.start(run)
    until(lambda: run.status().step > 2)
    return run


def ended(run: Run) -> bool:
    return run.status().state not in ACTIVE


def test_a_job_done_here_leaves_an_artefact() -> None:
    run = jobs.new_run("fake", FakeConfig(name="made"))
    artefact = execute(run)
    assert artefact == home() / "probes" / "made"
    status = run.status()
    assert (status.state, status.step, status.artefact) == ("done", 4, "probes/made")
    assert [row["step"] for row in run.metrics()] == [1, 2, 3, 4]


def test_a_failing_job_says_why_and_the_run_can_be_listed() -> None:
    run = jobs.new_run("fake", FakeConfig(name="x", fail_at=1))
    with pytest.raises(WorkbenchError, match="told to"):
        execute(run)
    assert run.status().state == "failed"
    assert run.error() == {
        "code": "fake", "what": "The fake job failed", "why": "it was told to", "how": "Do not tell it to."
    }  # fmt: skip


def test_an_unexpected_error_becomes_a_sentence_and_keeps_its_traceback() -> None:
    run = jobs.new_run("fake", FakeConfig(name="x", crash=True))
    with pytest.raises(WorkbenchError) as caught:
        execute(run)
    assert caught.value.code == "unexpected"
    assert "nobody expected this" in caught.value.why
    assert "Traceback" in jobs.log_tail(run)


def removed(run: Run) -> None:
    shutil.rmtree(home())


def made_anew(run: Run) -> None:
    shutil.rmtree(home())
    jobs.new_run("fake", FakeConfig(name="other"), run.slug)


@pytest.mark.parametrize("crash", [False, True], ids=["in the middle", "and then an unexpected error"])
@pytest.mark.parametrize("lose", [removed, made_anew])
def test_a_job_whose_data_folder_goes_while_it_works_ends_with_one_sentence_and_makes_nothing(
    lose: Callable[[Run], None], crash: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Run.begin

    def losing(self: Run, *, steps: int | None = None, **rest: Any) -> None:
        begin(self, steps=steps, **rest)
        if rest["message"] == "Counting.":
            lose(self)

    run = jobs.new_run("fake", FakeConfig(name="x", crash=crash))
    monkeypatch.setattr(Run, "begin", losing)
    if crash:
        monkeypatch.setattr(Run, "stop_requested", lambda self: False)
    with pytest.raises(WorkbenchError) as caught:
        execute(run)
    assert caught.value.code == "run-gone" and str(run.path) in caught.value.why
    assert sorted(path.name for path in run.path.glob("*")) == (
        [] if lose is removed else ["config.json", "status.json"]
    )


def test_a_command_whose_data_folder_goes_says_one_sentence() -> None:
    command = [*WORKER, "fake", "--name", "x", "--steps", "5000", "--pause", "0.01", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: (home() / "runs" / "x" / "config.json").is_file() and Run.open("x").status().step > 2)
    gone = home().with_name(f"{home().name}-gone")
    home().rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2 and out == ""
    assert err.splitlines()[-1].count("Run x has lost its folder") == 1 and "Traceback" not in err
    assert not home().exists()


def test_a_stopped_job_resumes_to_the_same_end() -> None:
    run = jobs.new_run("fake", FakeConfig(name="x", steps=6))
    run.request_stop()
    assert execute(run) is None
    assert run.status().state == "stopped"
    jobs.prepare(run)
    assert execute(run) is not None
    assert [row["step"] for row in run.metrics()] == [1, 2, 3, 4, 5, 6]


def test_a_config_that_no_longer_fits_is_refused_in_one_sentence() -> None:
    run = jobs.new_run("fake", FakeConfig(name="x"))
    path = run.path / "config.json"
    path.write_text(path.read_text().replace('"steps"', '"strides"'))
    with pytest.raises(WorkbenchError, match="strides"):
        execute(Run.open(run.slug))


def test_a_detached_run_finishes_and_is_the_same_as_one_done_here() -> None:
    detached = jobs.new_run("fake", FakeConfig(name="far", steps=3))
    jobs.start(detached)
    until(lambda: ended(detached))
    near = jobs.new_run("fake", FakeConfig(name="near", steps=3))
    execute(near)
    assert detached.status().state == "done", jobs.log_tail(detached)
    assert detached.metrics() == near.metrics()
    assert {p.name for p in detached.path.iterdir()} - {"launch.json", "log.txt"} == {
        p.name for p in near.path.iterdir()
    }
    with pytest.raises(WorkbenchError, match="finished"):
        jobs.start(detached)


def test_stop_and_resume_from_outside() -> None:
    run = slow()
    jobs.stop(run)
    until(lambda: ended(run))
    stopped = run.status()
    assert stopped.state == "stopped" and stopped.step > 2
    jobs.start(run)
    until(lambda: run.status().step > stopped.step + 2)
    assert run.status().first_step == stopped.step
    steps = [row["step"] for row in run.metrics()]
    assert steps == list(range(1, len(steps) + 1))
    jobs.stop(run)
    until(lambda: ended(run))


def test_a_killed_worker_is_lost_and_can_be_resumed() -> None:
    run = slow()
    pid = run.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: run.status().state == "lost")
    jobs.start(run)
    until(lambda: run.status().state == "running" and run.status().step > 2)
    jobs.stop(run)
    until(lambda: ended(run))
    assert run.status().state == "stopped"


def test_a_worker_that_never_begins_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "WORKER", [sys.executable, "-c", "raise SystemExit('no such module')"])
    run = jobs.new_run("fake", FakeConfig(name="x"))
    jobs.start(run)
    until(lambda: run.status().state == "lost")
    assert "no such module" in jobs.log_tail(run)


def test_a_run_in_progress_is_not_started_twice() -> None:
    run = slow()
    with pytest.raises(WorkbenchError) as caught:
        jobs.start(run)
    assert caught.value.code == "run-busy"
    jobs.stop(run)
    until(lambda: ended(run))


def test_the_worker_outlives_the_process_that_started_it() -> None:
    """A server that dies, by kill -9, takes no run with it; a new one finds the run again."""
    code = (
        "import sys, time; from tests.fixtures import fake_job; from app import jobs\n"
        f"fake_job.register(); jobs.WORKER = {WORKER!r}\n"
        "run = jobs.new_run('fake', fake_job.FakeConfig(name='x', steps=5000, pause=0.01)); jobs.start(run)\n"
        "print(run.slug, flush=True); time.sleep(60)\n"
    )
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert server.stdout is not None
    run = jobs.find(server.stdout.readline().strip())
    until(lambda: run.status().step > 2)
    server.kill()
    server.wait()
    reached = run.status().step
    until(lambda: run.status().step > reached + 10)
    jobs.stop(run)
    until(lambda: ended(run))
    assert run.status().state == "stopped"


@pytest.mark.parametrize("name", ["../../etc", "/etc", "..", "a/b", "%2e%2e", "", "x\x00", "C:\\"])
def test_a_browser_can_only_name_runs(name: str) -> None:
    with pytest.raises(WorkbenchError):
        jobs.find(name)


def test_a_queued_run_can_be_stopped_before_it_starts() -> None:
    run = jobs.new_run("fake", FakeConfig(name="x"))
    jobs.stop(run)
    assert run.status().state == "stopped"


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(WorkbenchError, match="known: capture, train, sweep, import"):
        jobs.job("sing")


def test_every_row_of_the_table_has_a_sentence() -> None:
    assert all(kind.sentence.endswith(".") for kind in jobs.JOBS.values())
