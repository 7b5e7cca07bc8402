"""The server dies during a training; the run goes on, and the reloaded page finds it again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from probes.runs import Run
from tests.browser.conftest import outside, says
from tests.fixtures.listening import Ear
from tests.fixtures.served import Served, free_port
from tests.fixtures.stores import make_store

pytestmark = pytest.mark.browser

POINTS = "(document.querySelector('#train-curve-loss .js-plotly-plot')?.data?.[0]?.x?.length ?? 0)"
COMMAND = says("train-command")


def until(condition: Callable[[], bool], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def reload(page: Any) -> None:
    """Reload; a page that lost its server may be doing so by itself, which then aborts ours."""
    try:
        page.reload()
    except Exception as error:
        if "ERR_ABORTED" not in str(error):
            raise
        page.wait_for_load_state()


@pytest.mark.timeout(1500)  # a whole training, on a machine that other tests share
def test_a_run_outlives_its_server_and_the_reloaded_page_shows_it(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    make_store(tmp_path / "stores" / "toy", chunks=96)
    port, worker, ear = free_port(), None, Ear(tmp_path / "ear")
    server = Served(tmp_path, port, ear.environment)
    try:
        page.goto(f"{server.ready()}/?tab=train")
        page.get_by_label("small", exact=True).check()
        page.wait_for_function("document.querySelector('#train-command').innerText.includes('2304')")
        # The first level is long enough to lose a server in.
        for level, steps in (("Low", 240), ("Middle", 20), ("High", 20), ("Maps", 20)):
            page.get_by_role("button", name=f"{level}: ").click()
            field = f"#train-{level.lower()}-optimiser-steps input"
            page.get_by_role("button", name="Optimiser: ").locator("visible=true").last.click()
            page.locator(field).wait_for(state="visible", timeout=20_000)
            page.fill(field, str(steps))
            page.wait_for_function(COMMAND, arg=f"--{level.lower()}.optimiser.steps {steps}")
        page.click("#train-start")
        page.wait_for_function(f"{POINTS} > 0")
        run = Run.open(next((tmp_path / "runs").iterdir()))
        worker = run.status().pid
        assert worker is not None
        server.kill()
        reached = run.status().step
        until(lambda: run.status().step > reached)
        os.kill(worker, signal.SIGSTOP)  # so that the run is still on its way when the new server is up
        left = run.status()
        assert left.state == "running" and left.pid == worker
        server = Served(tmp_path, port, ear.environment)
        server.ready()
        reload(page)
        page.wait_for_function(f"{POINTS} > 0")
        assert page.input_value("#train-run input") == run.slug
        assert f"{left.step:,}/280" in page.input_value("#train-status textarea")
        shown = page.evaluate(POINTS)
        os.kill(worker, signal.SIGCONT)
        page.wait_for_function(f"{POINTS} > {shown}")
        page.wait_for_function(
            "document.querySelector('#train-status textarea').value.includes('Written to')", timeout=400_000
        )
        assert page.locator("#train-stop").is_disabled() and page.locator("#train-resume").is_disabled()
        assert run.status().state == "done" and (tmp_path / "probes" / "my-probe").is_dir()
        assert page.failures == [] and outside(page.requested, server.url) == []
        heard = ear.heard()
        assert sum(" app serve " in process for process in heard.processes) == 2, heard.processes
        assert any(" app work " in process for process in heard.processes)
        assert heard.outside == []
    finally:
        server.kill()
        if worker is not None and run.status().pid == worker and run.status().state != "done":
            os.kill(worker, signal.SIGKILL)
