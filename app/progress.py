"""The progress line of a run in the foreground, and the summary printed when it ends."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO, TypeVar

from pydantic import Field, JsonValue

from concept_graphs.text import in_words
from probes.artefacts import MANIFEST, home, read_manifest
from probes.configs import Frozen
from probes.errors import Stopped, WorkbenchError
from probes.runs import Run, State, Status

T = TypeVar("T")
_SECONDS = 1.0
_PLAIN_EVERY = 30


def duration(seconds: float) -> str:
    """Seconds as 42 s, 3 min 10 s or 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def one_line(kind: str, status: Status) -> str:
    """Where a run is: steps, share, rate, time left and what it is doing.

    Of a finished one no steps: they are those of its last part, which may end before they are all counted.
    """
    parts = [kind]
    if status.state == "done":
        return "  ".join([*parts, "done", *filter(None, [status.message])])
    if status.steps:
        parts.append(f"{status.step:,}/{status.steps:,} ({min(1.0, status.step / status.steps):.0%})")
    elif status.step:
        parts.append(f"{status.step:,}")
    if status.state == "running":
        if status.rate is not None:
            parts.append(f"{status.rate:,.3g} a second")
        if status.seconds_left:  # what follows the last counted step has no estimate, rather than none to go
            parts.append(f"{duration(max(0.0, status.seconds_left))} left")
    else:
        parts.append(status.state)
    if status.message:
        parts.append(status.message)
    return "  ".join(parts)


def counted(run: Run, items: Iterable[T], what: str) -> Iterator[T]:
    """The items one by one, the run told what is done with them, how many there are and how many are done.

    Raises `Stopped` between two items when the run is asked to stop.
    """
    every = list(items)
    run.begin(steps=len(every), message=what)
    for done, item in enumerate(every, 1):
        if run.stop_requested():
            raise Stopped
        yield item
        run.progress(done, force=True)


@contextlib.contextmanager
def progress_line(run: Run, out: TextIO | None = None) -> Iterator[None]:
    """Keep one line on `out` (stderr) up to date; where that is no terminal, write a line now and then."""
    stream = sys.stderr if out is None else out
    ended = threading.Event()
    thread = threading.Thread(target=_report, args=(run, stream, ended), daemon=True, name="progress")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _report(run: Run, stream: TextIO, ended: threading.Event) -> None:
    terminal = stream.isatty()
    kind, ticks, drawn = run.record().kind, 0, False
    while not ended.wait(_SECONDS):
        ticks += 1
        if not terminal and ticks % _PLAIN_EVERY:
            continue
        with contextlib.suppress(WorkbenchError, OSError):
            line = one_line(kind, run.status())
            stream.write(f"\r\x1b[K{line[:160]}" if terminal else f"{line}\n")
            stream.flush()
            drawn = terminal
    if drawn:
        stream.write("\n")


class Summary(Frozen):
    """What a job prints with `--json`: where the run is and what it came to."""

    run: str = Field(description="Slug of the run.")
    kind: str = Field(description="Kind of job.")
    state: State = Field(description="queued after --detach, else how it ended: done, stopped or failed.")
    step: int = Field(description="Steps done.")
    steps: int | None = Field(description="Steps in all, when known.")
    seconds: float = Field(description="Seconds this session has worked.")
    message: str = Field(description="One sentence on what went on last.")
    folder: str = Field(description="Folder of the run.")
    artefact: str | None = Field(description="Path of what the run left; null before it is done.")
    figures: dict[str, JsonValue] = Field(description="Headline numbers of the artefact.")
    error: dict[str, str] | None = Field(description="code, what, why and how of a failure; null without one.")
    command: str = Field(description="The command line that does the same.")


def summary(run: Run) -> Summary:
    """What a run came to: state, steps, the artefact with its figures, and the error when it failed."""
    status = run.status()
    path = None if status.artefact is None else home() / status.artefact
    figures = read_manifest(path).figures if path is not None and (path / MANIFEST).is_file() else {}
    record = run.record()
    return Summary(
        run=run.slug,
        kind=record.kind,
        state=status.state,
        step=status.step,
        steps=status.steps,
        seconds=round(status.seconds, 3),
        message=status.message,
        folder=str(run.path),
        artefact=None if path is None else str(path),
        figures=figures,
        error=run.error(),
        command=record.command,
    )


def printed(result: Summary) -> str:
    """A summary for people."""
    lines = [f"{result.kind} {result.run}: {result.state}" + (f". {result.message}" if result.message else "")]
    if result.artefact:
        lines.append(f"  written to {result.artefact}")
    width = max(map(len, result.figures), default=0)
    tables = {name: row for name, row in result.figures.items() if isinstance(row, dict)}
    lines += [f"  {name:<{width}}  {in_words(v)}" for name, v in result.figures.items() if name not in tables]
    return "\n".join([*lines, *_table(tables)])


def _table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Figures that are rows of a table, aligned under their names; what a row has not is a dash."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    cells = [["", *names], *([label, *(in_words(row.get(name)) for name in names)] for label, row in rows.items())]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    said = (f"{line[0]:<{widths[0]}}  " + "  ".join(map(str.rjust, line[1:], widths[1:])) for line in cells)
    return [f"  {line.rstrip()}" for line in said] if rows else []
