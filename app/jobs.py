"""The jobs the workbench knows, and how a run of one is started, stopped, resumed and found again.

A job is a config and a function `work(config, run) -> Path | None`. The browser, the command line and
Python all call that one function; a detached run is the command `work` in a process of its own, which
outlives the server. `work` returns the artefact's path, or None when it stopped early on request.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from app.config_flags import flags_of, nested_defaults
from app.job_kinds import JobKind
from app.settings import Settings
from probes.artefacts import home
from probes.configs import merged, validated
from probes.errors import WorkbenchError
from probes.files import confined, write_json
from probes.processes import start_of
from probes.provenance import ROOT
from probes.runs import ACTIVE, Run

JOBS: dict[str, JobKind] = {
    "capture": JobKind(
        "probes.activations.registry:CAPTURES",
        "",
        "Run a subject over a corpus, or over prompts, and keep its activations.",
        chosen_by="subject",
        choose="probes.activations.registry:capture_of",
    ),
    "train": JobKind(
        "probes.backends.registry:BACKENDS",
        "",
        "Learn a probe: a dictionary per level and the selection maps between them.",
        chosen_by="backend",
    ),
    "sweep": JobKind(
        "probes.hierarchy.sweep:SweepConfig",
        "probes.hierarchy.sweep:work",
        "Train dictionaries of several configs on one stream of activations and compare them.",
    ),
    "import": JobKind(
        "probes.formats.import_config:ImportConfig",
        "probes.formats.assemble:work",
        "Make a probe of dictionaries that others trained.",
        positional="path",
    ),
    "import-graph": JobKind(
        "concept_graphs.exchange.importing:GraphImportConfig",
        "concept_graphs.exchange.importing:work",
        "Make a concept graph of a file that another tool wrote.",
        positional="file",
    ),
    "measure": JobKind(
        "probes.hierarchy.measure_again:MeasureConfig",
        "probes.hierarchy.measure_again:work",
        "Measure the latents of a probe again; its weights stay as they are.",
        positional="probe",
    ),
    "graph": JobKind(
        "concept_graphs.extract:GraphConfig",
        "concept_graphs.extract:work",
        "Make a concept graph from a probe and test its edges by intervening.",
        positional="probe",
    ),
    "atlas": JobKind(
        "concept_graphs.atlas:AtlasConfig",
        "concept_graphs.atlas:work",
        "Place the decoder rows of a probe in the plane, near where they point the same way.",
        positional="probe",
    ),
    "support": JobKind(
        "concept_graphs.support:SupportConfig",
        "concept_graphs.support:work",
        "Note which concepts of a graph were on together in training examples.",
        positional="graph",
    ),
    "evaluate": JobKind(
        "app.evaluate:EvaluateConfig",
        "app.evaluate:work",
        "Measure a suite and write its rows.",
        positional="suite",
        then="of",
        check="app.evaluate:check",
    ),
    "keep": JobKind(
        "app.keeping:KeepConfig",
        "app.keeping:work",
        "Keep a cell of a grid as a representation, with the graph of its latents.",
        positional="run",
        then="cell",
        check="app.keeping:check",
    ),
    "report": JobKind(
        "app.report:ReportConfig",
        "app.report:work",
        "Write one self-contained HTML report.",
        positional="graph",
        check="app.report:check",
    ),
}

WORKER = [sys.executable, "-P", "-m", "app"]


def job(kind: str) -> JobKind:
    """The table row of a kind. Raises `WorkbenchError` for an unknown one."""
    if kind not in JOBS:
        raise WorkbenchError(
            "unknown-job",
            f"There is no job called {kind[:40]!r}",
            f"known: {', '.join(JOBS)}",
            "Use one of these.",
        )
    return JOBS[kind]


def config_for(
    kind: str, values: Mapping[str, Any], preset: str | None = None, *, called: Callable[[str], str] = str
) -> BaseModel:
    """A job's config: its defaults, then the settings, then a preset, then `values`, sections merged.

    `called` is what the person who gave the values knows a field by.

    Raises `WorkbenchError` for an unknown job, preset or field, and for a value out of bounds.
    """
    row = job(kind)
    config_class, presets = row.config_class(values), row.presets(values)
    if preset is not None and preset not in list(presets):
        known = ", ".join(presets) or "none"
        raise WorkbenchError("no-preset", f"{kind} has no preset {preset!r}", f"it has {known}", "Use one of these.")
    merging = merged(nested_defaults(config_class), Settings.load().defaults_for(config_class))
    merging = merged(merging, presets[preset] if preset is not None else {})
    return validated(config_class, merged(merging, values), what=f"The config of {kind}", called=called)


def command_line(kind: str, config: BaseModel, name: str = "", processes: int = 1) -> str:
    """The shortest command that runs the same job, with as many processes."""
    field = "" if job(kind).choose else job(kind).chosen_by
    chosen = [f"--{field}", row] if field and (row := getattr(config, field)) != job(kind).choices().first else []
    named = ["--name", name] if name and name != getattr(config, "name", None) else []
    launcher = ["python"] if processes == 1 else ["torchrun", "--nproc-per-node", str(processes)]
    return shlex.join([*launcher, "-m", "app", kind, *chosen, *flags_of(config), *named])


def new_run(kind: str, config: BaseModel, name: str = "", processes: int = 1) -> Run:
    """A queued run of a job, with the command line that repeats it. Raises `WorkbenchError`, before there is a run,
    for what the job's check refuses."""
    job(kind).check_config(config)
    title = name or str(getattr(config, "name", "") or kind)
    return Run.create(kind, title, config, command=command_line(kind, config, name, processes))


def started(kind: str, config: BaseModel, *, threads: int | None = None) -> Run:
    """A new run of a job, at work in a process of its own."""
    run = new_run(kind, config)
    start(run, threads=threads)
    return run


def check_several(kind: str, values: Mapping[str, Any]) -> None:
    """Raise `WorkbenchError` unless several processes can do this job together."""
    row = job(kind)
    if not (row.chosen_by and row.works_with_several(values)):
        raise WorkbenchError(
            "one-process",
            f"{kind} is no job for several processes",
            "its work is not divided",
            f"Start it with: python -m app {kind}",
        )


def load_config(run: Run) -> BaseModel:
    """The run's config as its own class. Raises `WorkbenchError` when it no longer fits the code."""
    record = run.record()
    config_class = job(record.kind).config_class(record.config)
    return validated(config_class, record.config, what=f"The config of run {run.slug}")


def find(slug: str) -> Run:
    """A run by slug only, whatever the text is: for names that come from a browser."""
    confined(home() / "runs", slug)
    return Run.open(slug)


def start(run: Run, *, threads: int | None = None) -> None:
    """Start (or resume) a run in a process of its own, which outlives this one."""
    prepare(run)
    environment = os.environ | {
        "FULCRUM_HOME": str(home()),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    if threads is not None:
        environment |= {"FULCRUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    with (run.path / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [*WORKER, "work", str(run.path), "--background"],
            cwd=run.path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    write_json(run.path / "launch.json", {"pid": process.pid, "pid_start": start_of(process.pid)}, durable=False)
    threading.Thread(target=process.wait, daemon=True, name=f"reaper-{run.slug}").start()


def prepare(run: Run) -> None:
    """Make a run that is not being worked on ready to start: queued, no old error, no old request to stop."""
    if run.status().state == "done":
        raise WorkbenchError(
            "run-done", f"Run {run.slug} is finished", "there is nothing left to do", "Start a new run."
        )
    with run.lock():
        run.clear_stop()
        for leftover in ("launch.json", "error.json"):
            (run.path / leftover).unlink(missing_ok=True)
        run.update(state="queued", message="Waiting to start.")


def stop(run: Run) -> None:
    """Ask a run to finish its step, save and stop. A run nobody works on is marked stopped at once."""
    state = run.status().state
    if state not in ACTIVE:
        return
    run.request_stop()
    if state == "queued" and not (run.path / "launch.json").exists():
        with run.lock():
            run.update(state="stopped", message="Stopped before it began.")


def log_tail(run: Run, lines: int = 40) -> str:
    """The last lines of a run's log."""
    path = run.path / "log.txt"
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64 * 1024))
        text = file.read().decode("utf-8", "replace")
    return "\n".join(line.rpartition("\r")[2] for line in text.splitlines()[-lines:])
