"""The runs of one suite that a page is about: how one is asked for, found again, and what it left; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from pydantic import BaseModel

from app import jobs
from probes.artefacts import available, home, read_manifest
from probes.errors import WorkbenchError
from probes.runs import Run, scan_runs


class SuiteRuns:
    """`suite`: its name; `called`: what a finished run of it leaves, in words. Its config stands under `section`."""

    def __init__(self, suite: str, called: str) -> None:
        self.suite, self.called = suite, called
        self.section = suite.replace("-", "_")

    def config_of(self, name: str, section: BaseModel) -> BaseModel:
        """The job that measures with this config. Raises `WorkbenchError` for what does not fit."""
        values = {"suite": self.suite, "name": name, self.section: section.model_dump()}
        return jobs.config_for("evaluate", values)

    def is_one(self, run: Run) -> bool:
        """Whether a run is of this suite."""
        record = run.record()
        return record.kind == "evaluate" and record.config.get("suite") == self.suite

    def every(self) -> list[Run]:
        """Runs of this suite, newest first."""
        found = []
        for run in scan_runs()[0]:
            try:
                if self.is_one(run):
                    found.append(run)
            except (WorkbenchError, OSError):  # it vanished between the scan and now
                continue
        return found

    def names(self) -> list[str]:
        """Names of the runs of this suite, newest first."""
        return [run.slug for run in self.every()]

    def belongs(self, slug: str) -> bool:
        """Whether a name that comes from a browser is that of a run of this suite."""
        try:
            return bool(slug) and self.is_one(jobs.find(slug))
        except WorkbenchError:
            return False

    def found(self, slug: str) -> Run:
        """A run of this suite. Raises `WorkbenchError` where it is another's."""
        run = jobs.find(slug)
        if self.is_one(run):
            return run
        raise self._none(slug, "it is of another kind")

    def folder(self, slug: str) -> Path:
        """Where a finished run left what it measured. Raises `WorkbenchError` where that is gone, or another's."""
        run = self.found(slug)
        artefact = run.status().artefact
        if not artefact:
            raise self._none(slug, "it left none")
        folder = (home() / artefact).parent
        made_by = read_manifest(folder, verify=True).run
        if made_by != run.slug:
            raise WorkbenchError(
                "replaced",
                f"What run {run.slug} measured is gone",
                f"run {made_by or 'another'} wrote an evaluation of the same name over it",
                "Open that run, or start this one again under a name of its own.",
            )
        return folder

    def free_name(self) -> str:
        """A name no evaluation has, and no run is about to write: a finished one is never overwritten."""
        taken = {*available("evaluation"), *self.names()}
        return next(name for n in count(1) if (name := f"{self.suite}-{n}") not in taken)

    def _none(self, slug: str, why: str) -> WorkbenchError:
        return WorkbenchError(f"no-{self.suite}", f"Run {slug} has no {self.called}", why, "Choose another run.")


def of_pages() -> Sequence[tuple[str, SuiteRuns]]:
    """(tab, runs) of every page that is about the runs of one suite."""
    return (("identifiability", KNOWN_GRAPH), ("grid", GRID))


def tab_of(slug: str) -> str:
    """The tab that shows a run best; empty where no page is about its suite."""
    return next((tab for tab, runs in of_pages() if runs.belongs(slug)), "")


KNOWN_GRAPH = SuiteRuns("known-graph", "known graph")
GRID = SuiteRuns("grid", "grid")
