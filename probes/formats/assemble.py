"""A probe made of other people's dictionaries: places in the subject, statistics, figures and selection maps.

No dictionary is trained. A run finishes level by level, then map by map, and resumes at the first that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import Tensor

from probes.activations.capture import CaptureConfig
from probes.activations.capture import work as capture
from probes.activations.store import EVERYWHERE, ActivationStore
from probes.addresses import HookPoint, Selector, parse_address
from probes.artefacts import Parent, artefact_path, parent_of, resolve
from probes.errors import WorkbenchError
from probes.files import commit_directory, read_json, write_json
from probes.formats.import_config import ImportConfig, level_names
from probes.formats.imported import Imported
from probes.formats.measure import measured_level
from probes.formats.points import norm_gain, resolve_place
from probes.formats.registry import read_dictionary
from probes.hierarchy.codes import paired
from probes.hierarchy.fit_maps import FittedMap, fit_map, map_figures
from probes.hierarchy.probe import Level, LevelRecord, Probe, ProbeRecord, open_level, save_level, save_probe
from probes.hierarchy.selection_map import SelectionMap
from probes.runs import Run
from probes.subjects.loading import load_subject
from probes.subjects.subject import Subject
from probes.tensors import load_tensors, save_tensors


@dataclass(frozen=True)
class _Wanted:
    """A dictionary to import: its level's name, its file, where it reads and writes in the subject, and in which
    part of a run."""

    name: str
    path: str
    found: Imported
    point: HookPoint
    writes: HookPoint | None
    where: Selector
    gain: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class _Done:
    """A finished level and what must be said of it."""

    level: Level
    notes: list[str]
    hashes: Mapping[str, str]
    path: str


@dataclass(frozen=True)
class _Pair:
    """The selection map between two neighbours with its figures, or why there is none."""

    map: SelectionMap | None
    figures: dict[str, Any]
    note: str


def work(config: ImportConfig, run: Run) -> Path | None:
    """Assemble the probe, resuming what an earlier try of the same run finished.

    Returns the probe, or None when it was asked to stop.
    """
    target = artefact_path("probe", config.name)
    if run.made(target):
        return target
    names = level_names(config)
    subject_ref = _subject_of(config)
    run.begin(steps=2 * len(names) - 1, message="reading the files and looking for their places in the subject")
    subject = load_subject(subject_ref, dtype=config.dtype, device=config.device, offline=config.offline)
    wanted = [_placed(config, at, name, subject) for at, name in enumerate(names)]
    del subject  # the largest thing here by far, and all its hook points are known now
    store_ref = _store_for(config, subject_ref, wanted, run)
    if store_ref is None:
        return None
    store = ActivationStore(resolve(store_ref, "store"))
    _same_subject(store, subject_ref)
    run.begin(steps=2 * len(names) - 1)
    done: list[_Done] = []
    for one in wanted:
        if run.stop_requested():
            return None
        run.update(message=f"measuring level {one.name}")
        done.append(_finished(run, one) or _measured(store, one, config, run))
        run.progress(len(done), force=True)
    pairs: list[_Pair] = []
    for low, high in pairwise(row.level for row in done):
        if run.stop_requested():
            return None
        pairs.append(_fitted(store, low, high, config, run))
        run.progress(len(done) + len(pairs), force=True)
    maps = tuple(pair.map for pair in pairs if pair.map is not None)
    record = ProbeRecord(
        subject=subject_ref,
        store=store_ref,
        seed=config.seed,
        levels=tuple(row.level.record for row in done),
        maps=tuple((found.low, found.high) for found in maps),
    )
    figures = {f"{level.name}.{name}": value for level in record.levels for name, value in level.figures.items()}
    files = {f"dictionary.{row.level.name}": _file_of(row) for row in done}
    save_probe(
        Probe(record, tuple(row.level for row in done), maps),
        target,
        name=config.name,
        command=run.record().command,
        run=run.slug,
        parents={"store": parent_of(store_ref, "store"), **files},
        figures=figures | {name: value for pair in pairs for name, value in pair.figures.items()},
        licence=config.licence,
        notes=" ".join([*(note for row in done for note in row.notes), *(pair.note for pair in pairs)]).strip(),
    )
    return target


def _subject_of(config: ImportConfig) -> str:
    """The subject named, else the store's."""
    if config.subject:
        return config.subject
    if not config.store:
        raise WorkbenchError(
            "no-subject",
            "The subject of the dictionaries is not known",
            "neither a subject nor a store is given",
            "Say which with --subject, or give a --store captured from it.",
        )
    return ActivationStore(resolve(config.store, "store")).index.subject


def _placed(config: ImportConfig, at: int, name: str, subject: Subject) -> _Wanted:
    """One dictionary read and given its place; a point of the config goes before what its file says."""
    path = config.path[at]
    found = read_dictionary(path, budget=round(config.memory * 2**30))
    said = config.point[at] if at < len(config.point) else ""
    point, where = parse_address(said) if said else (resolve_place(found.reads, subject, level=name), EVERYWHERE)
    target = config.writes[at] if at < len(config.writes) else ""
    writes = HookPoint.parse(target) if target else None
    if writes is None and found.transcodes:
        writes = resolve_place(found.writes, subject, level=name)
    for place in (point, *([] if writes is None else [writes])):
        subject.points.module(place)
    gain = None if said else norm_gain(found.reads, point, subject)
    return _Wanted(name, path, found, point, writes if writes != point else None, where, gain)


def _store_for(config: ImportConfig, subject: str, wanted: list[_Wanted], run: Run) -> str | None:
    """The store named, or one captured now at every point that is read or written; None when asked to stop."""
    if config.store:
        return config.store
    points = dict.fromkeys(place for one in wanted for place in (one.point, one.writes) if place is not None)
    captured = CaptureConfig(
        name=config.name,
        subject=subject,
        points=tuple(str(point) for point in points),
        dtype=config.dtype,
        device=config.device,
        offline=config.offline,
        **config.text.model_dump(),
    )
    return None if capture(captured, run) is None else config.name


def _same_subject(store: ActivationStore, subject: str) -> None:
    if store.index.subject != subject:
        raise WorkbenchError(
            "wrong-subject",
            f"The store {store.path.name} is of another subject",
            f"it was captured from {store.index.subject}, not {subject}",
            "Choose a store of this subject, or leave the store out to capture one.",
        )


def _finished(run: Run, one: _Wanted) -> _Done | None:
    """A level that an earlier session of this run measured."""
    folder = run.path / "levels" / one.name
    if not folder.is_dir():
        return None
    kept = read_json(folder / "level.json")
    level = open_level(folder, LevelRecord.model_validate(kept["record"]))
    return _Done(level, kept["notes"], kept["hashes"], kept["path"])


def _measured(store: ActivationStore, one: _Wanted, config: ImportConfig, run: Run) -> _Done:
    """Measure a level and keep it in the run."""
    level, notes = measured_level(
        store,
        one.name,
        one.found,
        one.point,
        one.writes,
        where=one.where,
        gain=one.gain,
        sparsity=config.sparsity,
        source=Path(one.path).name,
    )
    done = _Done(level, notes, one.found.hashes, one.path)
    with commit_directory(run.path / "levels" / one.name) as folder:
        save_level(level, folder)
        kept = {"record": level.record.model_dump(mode="json"), "notes": notes, "path": done.path}
        write_json(folder / "level.json", kept | {"hashes": dict(done.hashes)})
    return done


def _fitted(store: ActivationStore, low: Level, high: Level, config: ImportConfig, run: Run) -> _Pair:
    """The selection map of two neighbours, fitted or as an earlier session of this run kept it."""
    folder = run.path / "maps" / f"{low.name}-{high.name}"
    if not folder.is_dir():
        _fit(store, low, high, config, run, folder)
    kept, file = read_json(folder / "pair.json"), folder / "map.safetensors"
    found = SelectionMap.from_tensors(low.name, high.name, load_tensors(file)) if file.is_file() else None
    return _Pair(found, kept["figures"], kept["note"])


def _fit(store: ActivationStore, low: Level, high: Level, config: ImportConfig, run: Run, folder: Path) -> None:
    """Fit a map and keep it; where too few latents fire together, keep why there is none."""
    said, note = f"selection map {low.name} to {high.name}", ""
    run.update(message=f"{said}: encoding")
    codes = paired(store, "train", low, high, max_rows=config.maps.rows)
    held_out = paired(store, "held_out", low, high, max_rows=config.maps.rows // 2)
    found: FittedMap | None = None
    try:
        found = fit_map(
            codes,
            held_out,
            (low.name, high.name),
            config.maps,
            seed=config.seed,
            report=lambda what, done, of: run.update(message=f"{said}: {what}, block {done + 1} of {of}"),
        )
    except WorkbenchError as error:
        if error.code != "too-few-rows":
            raise
        note = f"No selection map from {low.name} to {high.name}: {error.why}."
    with commit_directory(folder) as made:
        if found is not None:
            save_tensors(made / "map.safetensors", found.map.tensors())
        write_json(made / "pair.json", {"figures": map_figures(found) if found else {}, "note": note})


def _file_of(row: _Done) -> Parent:
    """The imported file as a parent: where it lay, and the SHA-256 of its weights (of the first of several files)."""
    return Parent(ref=row.path, sha256=next(iter(row.hashes.values()), None))
