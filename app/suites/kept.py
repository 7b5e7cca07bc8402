"""What a suite trained, kept in its run: a stopped evaluation goes on with what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from probes.hierarchy.probe import Level, Probe, ProbeRecord, open_probe, save_probe
from probes.runs import Run


class Kept:
    """Levels by name, each a probe of one level in the run's folder `dictionaries`."""

    def __init__(self, run: Run, subject: str, store: str) -> None:
        self._run, self._subject, self._store = run, subject, store

    def _path(self, name: str) -> Path:
        return self._run.path / "dictionaries" / name

    def get(self, name: str) -> Level | None:
        """The level of that name, where it was finished."""
        path = self._path(name)
        return open_probe(path).levels[0] if (path / "manifest.json").is_file() else None

    def put(self, name: str, level: Level, seed: int, extra: Mapping[str, float]) -> Level:
        """Keep a level; `extra` joins its figures."""
        figures = {**level.record.figures, **extra}
        level = replace(level, record=level.record.model_copy(update={"figures": figures}))
        record = ProbeRecord(subject=self._subject, store=self._store, seed=seed, levels=(level.record,))
        save_probe(
            Probe(record, (level,), ()),
            self._path(name),
            name=name,
            command=self._run.record().command,
            run=self._run.slug,
            parents={},
            figures=figures,
        )
        return level
