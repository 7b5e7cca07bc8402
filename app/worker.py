"""Doing a run's work in this process: the same for the foreground, a detached worker and Python."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from app.jobs import config_for, job, load_config, new_run
from app.progress import progress_line
from app.settings import Settings
from probes.artefacts import home
from probes.errors import WorkbenchError
from probes.kernels.choice import prefer
from probes.runs import Run


def execute(run: Run) -> Path | None:
    """Work on a run until it is done, has failed or is asked to stop; returns its artefact.

    Raises `WorkbenchError` (after recording it) when the job fails or somebody else holds the run, and
    KeyboardInterrupt after a second signal.
    """
    with run.lock():
        before = run.status()
        run.begin(step=before.step, steps=before.steps, message="Starting.")
        try:
            _apply_settings()
            artefact = job(run.record().kind).work_function()(load_config(run), run)
        except WorkbenchError as error:
            run.fail(error)
            raise
        except KeyboardInterrupt:
            run.update(state="stopped", message="Interrupted at once; the last checkpoint is kept.")
            raise
        except Exception as error:
            _keep_traceback(run)
            failure = _explained(error, run)
            run.fail(failure)
            raise failure from error
        if run.status().state == "stopped":  # the job said so itself, in its own words
            return None
        if artefact is None and run.stop_requested():
            run.update(state="stopped", message="Stopped on request; resume continues from the last checkpoint.")
            return None
        run.update(state="done", message="", artefact=None if artefact is None else _relative(artefact))
        return artefact


def run_job(kind: str, *, preset: str | None = None, title: str = "", **values: Any) -> Path:
    """Run a job to its end in this process, as the command of that name would; returns the artefact's path.

    `values` are fields of the job's config (`fulcrum <kind> --help` lists them); a nested field is a
    mapping. Progress goes to stderr. Raises `WorkbenchError` when the job fails or is asked to stop.
    """
    run = new_run(kind, config_for(kind, values, preset), title)
    with progress_line(run):
        artefact = execute(run)
    if artefact is None:
        raise WorkbenchError(
            "stopped", f"Run {run.slug} was stopped", "somebody asked it to", f"Resume it: fulcrum work {run.slug}"
        )
    return artefact


def _relative(artefact: Path) -> str:
    """Below the data folder relative to it, so that the folder may be moved; elsewhere absolute."""
    path = artefact.resolve()
    return path.relative_to(home()).as_posix() if path.is_relative_to(home()) else str(path)


def _apply_settings() -> None:
    settings = Settings.load()
    prefer(settings.kernels)
    if settings.threads is not None:
        import torch

        torch.set_num_threads(settings.threads)


def _keep_traceback(run: Run) -> None:
    with (run.path / "log.txt").open("a", encoding="utf-8") as log:
        traceback.print_exc(file=log)


def _explained(error: Exception, run: Run) -> WorkbenchError:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or "out of memory" in text.lower() or "can't allocate memory" in text.lower():
        how = "Use a smaller batch or fewer latents, then resume from the last checkpoint."
        return WorkbenchError("out-of-memory", f"Run {run.slug} ran out of memory", text[:300], how)
    if "gloo" in text or "DistBackendError" in text:
        how = f"Start it again: torchrun with as many processes, -m app work {run.slug}"
        why = f"a process that shared its work has ended or cannot be reached ({text[:200]})"
        return WorkbenchError("process-lost", f"Run {run.slug} lost one of its processes", why, how)
    return WorkbenchError(
        "unexpected",
        f"Run {run.slug} stopped with an unexpected error",
        text[:300],
        f"The details are in {run.path / 'log.txt'}.",
    )


@contextmanager
def stop_on_signals(run: Run) -> Iterator[list[int]]:
    """SIGINT and SIGTERM ask the run to stop; a second one interrupts it. Yields the signals received."""
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt
        run.request_stop()
        if not run.follows:
            print("\nStopping after this step; a second signal stops at once.", file=sys.stderr)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
