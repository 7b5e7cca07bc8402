"""What the Train and Runs pages show of a run, as plain values; no gradio in here."""

from __future__ import annotations

from typing import Any, NamedTuple

from app import jobs
from app.progress import one_line
from probes.artefacts import home
from probes.errors import WorkbenchError
from probes.metrics_log import read_rows
from probes.runs import ACTIVE, Run, Status, scan_runs

COLUMNS = ("run", "kind", "state", "progress", "created", "what")


class Seen(NamedTuple):
    """One look at a run."""

    slug: str
    created: str
    line: str
    state: str
    log: str
    command: str
    rows: list[dict[str, Any]]
    size: int
    can_stop: bool
    can_resume: bool
    active: bool


def look(slug: str) -> Seen:
    """The present state of a run named by a browser. Raises `WorkbenchError` when there is no such run."""
    run = jobs.find(slug)
    status, record = run.status(), run.record()
    rows, size = read_rows(run.path / "metrics.jsonl")
    return Seen(
        slug=run.slug,
        created=record.created,
        line=sentence(run, status),
        state=status.state,
        log=jobs.log_tail(run),
        command=record.command,
        rows=rows,
        size=size,
        can_stop=status.state in {"queued", "running"},
        can_resume=status.state in {"stopped", "failed", "lost"},
        active=status.state in ACTIVE,
    )


def sentence(run: Run, status: Status) -> str:
    """Where a run is and, when it has ended, what that means."""
    error = run.error()
    if error is not None:  # it is told in full below, and its message is the beginning of that
        line = one_line(run.record().kind, status.model_copy(update={"message": ""}))
        return f"{line}\n{error['what']}: {error['why']}. {error['how']}"
    line = one_line(run.record().kind, status)
    if status.state == "lost":
        return f"{line}\nIts process has ended without a word. Resume continues from the last checkpoint."
    if status.state == "queued":
        return f"{line}\nThe worker is starting; loading its libraries takes some seconds."
    if status.state == "done" and status.artefact:
        return f"{line}\nWritten to {home() / status.artefact}"
    return line


def table() -> tuple[list[list[str]], int]:
    """A row per run, newest first (see `COLUMNS`), and how many folders could not be read."""
    runs, unreadable = scan_runs()
    rows = []
    for run in runs:
        try:
            status, record = run.status(), run.record()
        except (WorkbenchError, OSError):  # it vanished or broke between the scan and now
            unreadable += 1
            continue
        error = run.error() if status.state == "failed" else None
        what = status.message if error is None else f"{error['what']}: {error['why']}"
        rows.append([run.slug, record.kind, status.state, share(status), record.created[:16], what[:160]])
    return rows, unreadable


def share(status: Status) -> str:
    """How far a run is, in few characters."""
    if status.state == "done":
        return "100%"
    if status.steps:
        return f"{min(1.0, status.step / status.steps):.0%} of {status.steps:,}"
    return f"{status.step:,}" if status.step else ""
