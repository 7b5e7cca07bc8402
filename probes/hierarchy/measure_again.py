"""Measure the latents of an existing probe again, on text of one's choice; the weights stay as they are.

For a probe made before a statistic was known, or to see how its latents behave on other text. The result is a
probe of its own, its weight files copied byte for byte. `typical` is kept: it is the unit of levers, and a
lever that was saved must go on meaning the same. What training alone knows (`silent`, `revived`) cannot be
measured afterwards and is kept where it was recorded.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from probes.activations.store import ActivationStore, Split
from probes.artefacts import artefact_path, parent_of, read_manifest, resolve, write_manifest
from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.files import commit_directory, write_json
from probes.hierarchy.measure_level import compared
from probes.hierarchy.measured import weights_file
from probes.hierarchy.probe import Level, Probe, open_probe, save_statistics
from probes.hierarchy.statistics import latent_statistics
from probes.runs import Run

KEPT = ("typical",)


class MeasureConfig(Frozen):
    """Measure the latents of a probe again: the same weights, new statistics."""

    name: str = Field(description="Name of the probe to make.", min_length=1, max_length=64)
    probe: str = Field(description="Probe to measure.", min_length=1)
    store: str = Field(description="Activation store to measure on.", min_length=1)
    split: Split = Field(default="held_out", description="Which part of the store to read.")
    rows: int = Field(default=400_000, description="Stop after this many rows of a level.", ge=1)
    beside: tuple[str, ...] = Field(
        default=(), description="Probes of other seeds; every latent is given its best match there, on average."
    )


def work(config: MeasureConfig, run: Run) -> Path | None:
    """Measure every level and leave a probe with the same weights. Returns None when asked to stop.

    Raises `WorkbenchError` when the store is of another subject or lacks a level's hook point.
    """
    target = artefact_path("probe", config.name)
    if run.made(target):
        return target
    probe, store = open_probe(config.probe), ActivationStore(resolve(config.store, "store"))
    _same_subject(probe, store)
    others = [open_probe(ref) for ref in config.beside]
    for level in probe.levels:
        for point in level.places.read:
            store.point_number(point)  # refused before anything is read
    run.begin(steps=len(probe.levels) * len(store.shards(config.split)))
    levels: list[Level] = []
    for level in probe.levels:
        if run.stop_requested():
            return None
        run.update(message=f"measuring level {level.name}")
        levels.append(_measured(store, level, config, run))
        if others:
            levels[-1] = compared(levels[-1], *(other.level(level.name) for other in others))
    _save(probe, levels, config, run, target)
    return target


def _measured(store: ActivationStore, level: Level, config: MeasureConfig, run: Run) -> Level:
    before, done = dict(level.statistics), run.status().step
    found = latent_statistics(
        store, config.split, level, max_rows=config.rows, report=lambda read: run.progress(done + read)
    )
    kept = {name: before[name] for name in KEPT if name in before and bool(before[name].any())}
    record = level.record.model_copy(update={"measured_on": config.split})
    return replace(level, record=record, statistics={**before, **found, **kept})


def _save(probe: Probe, levels: list[Level], config: MeasureConfig, run: Run, target: Path) -> None:
    source = resolve(config.probe, "probe")
    manifest = read_manifest(source, verify=True)
    weights = [weights_file(level.name) for level in levels]
    maps = [f"map-{low}-{high}.safetensors" for low, high in probe.record.maps]
    figures = dict(manifest.figures)
    with commit_directory(target) as folder:
        for name in (*weights, *maps):
            shutil.copyfile(source / name, folder / name)
        for level in levels:
            save_statistics(level, folder)
            if config.beside:
                figures[f"{level.name}.seed_agreement"] = level.record.figures["seed_agreement"]
        record = probe.record.model_copy(update={"levels": tuple(level.record for level in levels)})
        write_json(folder / "probe.json", record.model_dump(mode="json"))
        write_manifest(
            folder,
            kind="probe",
            name=config.name,
            command=run.record().command,
            run=run.slug,
            parents={
                **manifest.parents,
                "weights": parent_of(config.probe, "probe"),
                "measured on": parent_of(config.store, "store"),
            },
            figures=figures,
            licence=manifest.licence,
            notes=manifest.notes,
        )


def _same_subject(probe: Probe, store: ActivationStore) -> None:
    if probe.record.subject != store.index.subject:
        raise WorkbenchError(
            "wrong-subject",
            f"The store {store.path.name} is of another subject",
            f"it was captured from {store.index.subject}, not {probe.record.subject}",
            "Choose a store of this subject.",
        )
