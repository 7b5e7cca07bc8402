"""Run folders, the truth about every job: one writer, atomic status, append-only metrics, checkpoints."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, Field

from probes import processes
from probes.artefacts import MANIFEST, home, read_manifest
from probes.checkpoints import Checkpoint, read_checkpoint, saved_steps, write_checkpoint
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.files import confined, is_slug, read_json, remove_directory, slug, sweep, write_json
from probes.locks import FolderLock, PathTakenError
from probes.metrics_log import MetricsLog, read_rows
from probes.provenance import commit, now, versions

if TYPE_CHECKING:
    from torch import Tensor

State = Literal["queued", "running", "stopping", "stopped", "done", "failed", "lost"]
ACTIVE: frozenset[str] = frozenset({"queued", "running", "stopping"})
_BEAT_SECONDS = 0.5
_SILENT_SECONDS = 600
_LEAVING_SECONDS = 5


class Status(Frozen):
    """Where a run is. `stopping` and `lost` are found when it is read, never written."""

    state: State = Field(default="queued", description="What the run is doing.")
    pid: int | None = Field(default=None, description="Process that works on it.")
    pid_start: float | None = Field(default=None, description="When that process started; pids are reused.")
    host: str | None = Field(default=None, description="Machine it runs on.")
    step: int = Field(default=0, ge=0, description="Steps done.")
    steps: int | None = Field(default=None, ge=0, description="Steps in all, when known.")
    first_step: int = Field(default=0, ge=0, description="The step at which what is counted now began.")
    first_seconds: float = Field(default=0.0, ge=0, description="What `seconds` was when it began.")
    seconds: float = Field(default=0.0, ge=0, description="Seconds this session has worked, by a monotonic clock.")
    beat: float = Field(default=0.0, ge=0, description="Wall clock of the last sign of life.")
    message: str = Field(default="", description="One sentence on what is going on.")
    artefact: str | None = Field(default=None, description="What the run left: a name or a path.")

    @property
    def rate(self) -> float | None:
        """Steps per second of what is counted now, once it is known."""
        done, seconds = self.step - self.first_step, self.seconds - self.first_seconds
        return done / seconds if done > 0 and seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds to the end, once it is known."""
        return (self.steps - self.step) / self.rate if self.rate and self.steps is not None else None


class Record(Frozen):
    """`config.json`: what the run was asked to do. Never changed after creation."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    kind: str = Field(description="Kind of job.")
    name: str = Field(description="The free title.")
    config: dict[str, Any] = Field(description="The job's config.")
    command: str = Field(default="", description="The command line that does the same.")
    versions: dict[str, str] = Field(default_factory=dict, description="Versions of the packages used.")
    commit: str | None = Field(default=None, description="Commit of the code.")
    created: str = Field(default_factory=now, description="When it was created, UTC.")
    seed: int | None = Field(default=None, description="The config's seed, when it has one.")


class Run:
    """One run folder. Any number of readers; writing happens inside `with run.lock()`."""

    follows: ClassVar[bool] = False  # whether another process is the one writer (see `followers`)

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: FolderLock | None = None
        self._metrics: MetricsLog | None = None
        self._clock = time.monotonic()
        self._last_beat = 0.0
        self._unsaid: dict[str, Any] = {}
        self._record: Record | None = None

    def __repr__(self) -> str:
        return f"Run({self.slug!r})"

    @classmethod
    def create(cls, kind: str, name: str, config: BaseModel, *, command: str) -> Run:
        """A new run folder below the data folder, named after `name` and made unique with a number."""
        root = home() / "runs"
        root.mkdir(parents=True, exist_ok=True)
        base = slug(name, fallback=slug(kind))
        for number in itertools.count(1):
            suffix = "" if number == 1 else f"-{number}"
            path = confined(root, base[: 64 - len(suffix)].rstrip("._-") + suffix)
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                break
        values = config.model_dump(mode="json")
        seed = values.get("seed")
        record = Record(
            kind=kind,
            name=name.strip() or kind,
            config=values,
            command=command,
            versions=versions(),
            commit=commit(),
            seed=seed if isinstance(seed, int) else None,
        )
        write_json(path / "status.json", Status(beat=time.time()).model_dump(mode="json"))
        write_json(path / "config.json", record.model_dump(mode="json"))
        return cls(path)

    @classmethod
    def open(cls, ref: str | Path) -> Run:
        """A run by its slug or its path. Raises `WorkbenchError` when there is no such run."""
        if "\0" in str(ref):
            raise WorkbenchError("no-run", "There is no such run", "its name holds a NUL", "Use a name from the list.")
        named = isinstance(ref, str) and is_slug(ref)
        path = confined(home() / "runs", str(ref)) if named else Path(ref).expanduser().resolve()
        if not (path / "config.json").is_file():
            raise WorkbenchError(
                "no-run",
                f"There is no run {str(ref)[:80]!r}",
                "its folder does not exist or holds no config.json",
                "List the runs, and use a name from the list.",
            )
        return cls(path)

    @property
    def path(self) -> Path:
        """The folder. Whoever works on the run asks here before it reads or writes anything, so this is where it
        notices: raises `WorkbenchError` once the folder that was locked has been deleted or replaced."""
        if self._lock is not None and not (self._lock.holds() and (self._path / "status.json").exists()):
            raise self._gone()
        return self._path

    @property
    def slug(self) -> str:
        return self._path.name

    def record(self) -> Record:
        """What the run was asked to do. Raises `WorkbenchError` when config.json is damaged."""
        if self._record is None:
            self._record = validated(Record, read_json(self.path / "config.json"), what=f"The config of {self.slug}")
        return self._record

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one writer. A kernel lock, so it is free the moment its holder dies.

        Raises `WorkbenchError` naming the holder when the run is being worked on. On the way in,
        temporary files of dead processes are swept. Inside, `path` notices when the folder is gone.
        """
        lock = self._taken()
        try:
            # Some network file systems grant every lock: the status file is asked as well.
            if self._written().pid != os.getpid() and self.status().state in {"running", "stopping"}:
                raise self._busy()
            for folder in (self.path, *filter(Path.is_dir, self.path.iterdir())):
                sweep(folder)
            self._clock, self._last_beat = time.monotonic(), 0.0
            self._lock = lock
            yield
        finally:
            self._lock = None
            if self._metrics is not None:
                self._metrics.close()
                self._metrics = None
            lock.release()

    def _taken(self) -> FolderLock:
        """The folder's lock, taken. A holder that has written how it ended is about to let go: wait for it."""
        end = time.monotonic() + _LEAVING_SECONDS
        try:
            lock = FolderLock(self.path)
        except FileNotFoundError:
            raise self._gone() from None
        with contextlib.ExitStack() as otherwise:
            otherwise.callback(lock.release)
            while not self._has(lock):
                if self._written().state in ACTIVE or time.monotonic() > end:
                    raise self._busy()
                time.sleep(0.02)
            otherwise.pop_all()
        return lock

    def _has(self, lock: FolderLock) -> bool:
        try:
            return lock.taken()
        except PathTakenError as error:
            raise WorkbenchError(
                "run-busy",
                f"Run {self.slug} is being worked on",
                f"{error} works in a folder of that name that has been deleted or replaced since",
                "Wait until it has noticed and stopped, or end that process.",
            ) from None

    def _gone(self) -> WorkbenchError:
        return WorkbenchError(
            "run-gone",
            f"Run {self.slug} has lost its folder",
            f"{self._path} was deleted or replaced while the run was being worked on",
            "Nothing more is written there; start it again.",
        )

    def _busy(self) -> WorkbenchError:
        holder = self._written()
        return WorkbenchError(
            "run-busy",
            f"Run {self.slug} is being worked on",
            f"process {holder.pid} on {holder.host} holds it",
            "Wait for it, or stop it first.",
        )

    def _written(self) -> Status:
        return validated(Status, read_json(self.path / "status.json"), what=f"The status of {self.slug}")

    def status(self) -> Status:
        """Where the run is now; a run whose process has died is `lost`."""
        status = self._written()
        if status.state not in ACTIVE:
            return status
        if not self._worker_lives(status):
            return status.model_copy(update={"state": "lost"})
        if status.state == "running" and self.stop_requested():
            return status.model_copy(update={"state": "stopping"})
        return status

    def _worker_lives(self, status: Status) -> bool:
        """Only this machine's processes can be looked up; another machine's heartbeat must do."""
        if status.state == "queued":
            launched = self.path / "launch.json"
            return not launched.is_file() or processes.alive(*map(read_json(launched).get, ("pid", "pid_start")))
        if status.host != processes.me()["host"]:
            return time.time() - status.beat < _SILENT_SECONDS
        return processes.alive(status.pid, status.pid_start)

    def update(self, **fields: Any) -> None:
        """Change fields of the status file in one atomic step; the heartbeat is renewed as well."""
        merged = {**self._written().model_dump(), "beat": time.time(), **self._unsaid, **fields}
        status = validated(Status, merged, what=f"The status of {self.slug}")
        lasting = status.state not in {"queued", "running"}
        self._write("status.json", status.model_dump(mode="json"), durable=lasting)
        self._unsaid = {}
        self._last_beat = time.monotonic()

    def _write(self, name: str, value: Any, *, durable: bool = True) -> None:
        """Write a file of the run, never into a folder that went a moment ago."""
        try:
            write_json(self.path / name, value, durable=durable, make_folder=False)
        except FileNotFoundError:
            raise self._gone() from None

    def begin(self, *, step: int = 0, steps: int | None = None, message: str = "") -> None:
        """Mark the run as running in this process, inside `lock`; again once `step` or `steps` are known, or when
        something else is to be counted: the rate starts anew, the seconds of the session go on."""
        seconds = time.monotonic() - self._clock
        fields = {"state": "running", **processes.me(), "step": step, "first_step": step}
        self.update(**fields, steps=steps, seconds=seconds, first_seconds=seconds, message=message, artefact=None)

    def progress(self, step: int, *, message: str | None = None, force: bool = False) -> None:
        """Say how far the run is. Cheap: the status file is written at most twice a second unless forced;
        what was left unsaid goes out with the next `update`."""
        said = {} if message is None else {"message": message}
        self._unsaid |= {"step": step, "seconds": time.monotonic() - self._clock, **said}
        if force or time.monotonic() - self._last_beat >= _BEAT_SECONDS:
            self.update()

    def log(self, step: int, **values: float) -> None:
        """Append one row of metrics, and report progress. A non-finite value is written as null."""
        if self._metrics is None:
            self._metrics = MetricsLog(self.path / "metrics.jsonl")
        self._metrics.append(step, values)
        self.progress(step)

    def metrics(self) -> list[dict[str, Any]]:
        """All complete rows of the metrics log, in the order written; a torn last row is left out."""
        return read_rows(self.path / "metrics.jsonl")[0]

    def stop_requested(self) -> bool:
        """Whether somebody asked the run to stop. Ask once a step, then checkpoint and return."""
        return (self.path / "STOP").exists()

    def request_stop(self) -> None:
        """Ask the run to finish its step, save and stop."""
        (self.path / "STOP").touch()

    def clear_stop(self) -> None:
        """Forget an earlier request to stop, before starting again."""
        (self.path / "STOP").unlink(missing_ok=True)

    def fail(self, error: WorkbenchError) -> None:
        """Record why the run failed."""
        self._write("error.json", error.as_json())
        self.update(state="failed", message=f"{error.what}: {error.why}.")

    def error(self) -> dict[str, str] | None:
        """Why the run failed: code, what, why, how; None when it did not."""
        path = self.path / "error.json"
        return read_json(path) if path.is_file() else None

    def save_checkpoint(
        self, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any], keep: int = 2
    ) -> None:
        """Write a checkpoint in one step and delete all but the newest `keep`.

        `tensors` is file name -> tensors, `state` is plain JSON. Raises `WorkbenchError` for non-finite
        values and for a full disk; the last good checkpoint is kept in either case.
        """
        folder = self.path / "checkpoints"
        metrics = self._metrics.flush() if self._metrics else read_rows(self.path / "metrics.jsonl")[1]
        write_checkpoint(folder, step, tensors, state, metrics_bytes=metrics)
        for old in saved_steps(folder)[max(keep, 1) :]:
            remove_directory(folder / f"ckpt-{old:08d}")
        self.progress(step, force=True)

    def made(self, target: Path) -> bool:
        """Whether `target` is this run's own artefact, made by a session that died before it could say so.

        Raises `WorkbenchError` when somebody else's artefact has that name.
        """
        if (target / MANIFEST).is_file() and read_manifest(target).run == self.slug:
            return True
        if target.exists():
            raise WorkbenchError(
                "name-taken",
                f"{target.parent.name}/{target.name} exists",
                "an artefact is never overwritten",
                "Choose another name.",
            )
        return False

    def latest_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint whose every file still has its hash; damaged ones are passed over."""
        for step in saved_steps(self.path / "checkpoints"):
            with contextlib.suppress(WorkbenchError):
                return read_checkpoint(self.path / "checkpoints" / f"ckpt-{step:08d}")
        return None

    def rewind(self, checkpoint: Checkpoint | None) -> None:
        """Forget whatever came after a checkpoint (None: everything): metrics rows and later checkpoints."""
        if self._metrics is None:
            self._metrics = MetricsLog(self.path / "metrics.jsonl")
        self._metrics.cut(0 if checkpoint is None else checkpoint.metrics_bytes)
        folder = self.path / "checkpoints"
        for step in saved_steps(folder):
            if checkpoint is None or step > checkpoint.step:
                remove_directory(folder / f"ckpt-{step:08d}")


def all_runs() -> list[Run]:
    """Every readable run, newest first."""
    return scan_runs()[0]


def scan_runs() -> tuple[list[Run], int]:
    """Every readable run, newest first, and how many folders could not be read."""
    root = home() / "runs"
    found: list[tuple[str, float, Run]] = []
    unreadable = 0
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if not is_slug(path.name) or not path.is_dir():
            continue
        try:
            run = Run.open(path)
            run.status()
            found.append((run.record().created, (path / "config.json").stat().st_mtime, run))
        except (WorkbenchError, OSError):
            unreadable += 1
    return [run for _, _, run in sorted(found, key=lambda row: row[:2], reverse=True)], unreadable
