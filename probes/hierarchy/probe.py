"""A probe: levels, the selection maps between them, and what was measured of each latent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from probes.activations.places import Places
from probes.activations.rows import RowKind
from probes.activations.store import EVERYWHERE, PointInfo, Split
from probes.addresses import HookPoint, Selector
from probes.artefacts import MANIFEST, Parent, resolve, write_manifest
from probes.autoencoders.dictionary import Dictionary
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.files import commit_directory, read_json, write_json
from probes.hierarchy.measured import STATISTICS, statistics_file, weights_file
from probes.hierarchy.selection_map import SelectionMap
from probes.latents import LatentTable
from probes.tensors import load_tensors, save_tensors


class LevelRecord(Frozen):
    """What `probe.json` says of one level."""

    name: str = Field(description="Name of the level.", pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    point: PointInfo = Field(description="Hook point with its norms.")
    beside: tuple[PointInfo, ...] = Field(
        default=(), description="Further hook points whose rows are put beside those of the first (crosscoders)."
    )
    rows: RowKind = Field(description="What is encoded at a time.")
    where: Selector = Field(default=EVERYWHERE, description="Which part of a run, such as a noise interval.")
    n_latents: int = Field(description="Width of the dictionary.", ge=1)
    k: float = Field(description="Active latents per row, calibrated to or else measured.", gt=0)
    writes: HookPoint | None = Field(default=None, description="Where its decoder writes, when not where it reads.")
    figures: dict[str, float] = Field(default={}, description="Held-out metrics, each named with its convention.")
    measured_on: Split = Field(default="train", description="The part of the store its statistics were measured on.")


class ProbeRecord(Frozen):
    """`probe.json`."""

    schema_version: int = Field(default=1, ge=1, le=1, description="Version of this format.")
    subject: str = Field(description="The subject the levels belong to.")
    store: str = Field(description="The activation store it was trained on.")
    seed: int = Field(default=0, description="Seed of the training.")
    levels: tuple[LevelRecord, ...] = Field(min_length=1, description="Levels, lowest first.")
    maps: tuple[tuple[str, str], ...] = Field(default=(), description="Pairs of levels with a selection map.")


@dataclass(frozen=True)
class Level:
    """One storey: a latent space, a selector, a kind of row, and what was measured of each latent.

    `statistics`: by name (see `probes.hierarchy.measured`), `n_latents` or `n_latents part`.
    """

    record: LevelRecord
    space: Dictionary
    statistics: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def rows(self) -> RowKind:
        return self.record.rows

    @property
    def where(self) -> Selector:
        return self.record.where

    @property
    def places(self) -> Places:
        """Where its rows come from, and what they predict."""
        beside = tuple(info.point for info in self.record.beside)
        return Places(self.record.point.point, self.where, beside, self.record.writes)

    @property
    def point(self) -> HookPoint:
        """The one hook point it is read at. Raises `WorkbenchError` for a level whose rows are of several."""
        refuse_several_places([self])
        return self.record.point.point

    @property
    def address(self) -> str:
        """Its places as one string."""
        return str(self.places)


def refuse_several_places(levels: Iterable[Level]) -> None:
    """For what reads a level at one hook point, of a running subject or a store. Raises `WorkbenchError` otherwise."""
    for level in levels:
        if level.record.beside:
            raise WorkbenchError(
                "several-places",
                f"Level {level.name} cannot be read at one hook point",
                f"its rows are of {len(level.places.read)} hook points at once (a crosscoder)",
                "Encode the rows of a store with it, or choose a level of one hook point.",
            )


@dataclass(frozen=True)
class Probe:
    """Levels, lowest first, and the selection maps between neighbours."""

    record: ProbeRecord
    levels: tuple[Level, ...]
    maps: tuple[SelectionMap, ...]
    ref: str = ""

    def level(self, name: str) -> Level:
        """A level by name. Raises `WorkbenchError` listing the names there are."""
        for level in self.levels:
            if level.name == name:
                return level
        raise WorkbenchError(
            "no-such-level",
            f"There is no level called {name!r}",
            f"the probe has {', '.join(level.name for level in self.levels)}",
            "Use one of these names.",
        )

    def pairs(self) -> list[tuple[Level, Level]]:
        """Adjacent levels, lower first."""
        return list(zip(self.levels, self.levels[1:], strict=False))

    def map_between(self, low: str, high: str) -> SelectionMap | None:
        return next((found for found in self.maps if (found.low, found.high) == (low, high)), None)


def save_probe(
    probe: Probe,
    target: Path,
    *,
    name: str,
    command: str,
    run: str = "",
    parents: Mapping[str, Parent],
    figures: Mapping[str, Any],
    licence: str = "",
    notes: str = "",
) -> None:
    """Write a probe folder in one step: `probe.json`, one file per level and per map, the manifest last."""
    with commit_directory(target) as folder:
        for level in probe.levels:
            save_level(level, folder)
        for found in probe.maps:
            save_tensors(folder / f"map-{found.low}-{found.high}.safetensors", found.tensors())
        write_json(folder / "probe.json", probe.record.model_dump(mode="json"))
        write_manifest(
            folder,
            kind="probe",
            name=name,
            command=command,
            run=run,
            parents=parents,
            figures=figures,
            licence=licence,
            notes=notes,
        )


def save_level(level: Level, folder: Path) -> None:
    """Write a level's dictionary and its statistics into a folder; its record is the caller's to keep."""
    save_tensors(folder / weights_file(level.name), level.space.tensors())
    save_statistics(level, folder)


def save_statistics(level: Level, folder: Path) -> None:
    """Write what was measured of a level's latents, where anything was."""
    if level.statistics:
        found = {name: part.float() for name, part in level.statistics.items()}
        save_tensors(folder / statistics_file(level.name), found)


def open_probe(ref: str | Path) -> Probe:
    """Open a probe by name, path or URL. Raises `WorkbenchError` for whatever is wrong with it."""
    path, record = resolve(ref, "probe"), probe_record(ref)
    levels = tuple(open_level(path, level) for level in record.levels)
    maps = tuple(
        SelectionMap.from_tensors(low, high, load_tensors(path / f"map-{low}-{high}.safetensors"))
        for low, high in record.maps
    )
    return Probe(record, levels, maps, str(ref))


def probe_record(ref: str | Path) -> ProbeRecord:
    """What a probe says of itself; its weights are not read. Raises `WorkbenchError`."""
    path = resolve(ref, "probe")
    if not (path / MANIFEST).is_file():
        raise WorkbenchError("no-probe", f"{ref} is no probe", "it has no manifest", "Train it to the end first.")
    return validated(ProbeRecord, read_json(path / "probe.json"), what=f"The probe {ref}")


def open_level(path: Path, record: LevelRecord) -> Level:
    """A level from the folder that holds its files."""
    tensors = load_tensors(path / weights_file(record.name))
    weights = {name: part for name, part in tensors.items() if name not in STATISTICS}
    statistics = {name: part for name, part in tensors.items() if name in STATISTICS}  # of before they had a file
    beside = path / statistics_file(record.name)
    if beside.is_file():
        statistics |= load_tensors(beside)
    _check(statistics, record, beside)
    names = tuple(f"{record.name}/{latent}" for latent in range(record.n_latents))
    unknown = torch.zeros(record.n_latents)
    table = LatentTable(names, statistics.get("typical", unknown), statistics.get("frequency", unknown))
    space = Dictionary.from_tensors(weights, table, record.point.point, record.writes)
    return Level(record, space, statistics)


def _check(statistics: Mapping[str, Tensor], record: LevelRecord, path: Path) -> None:
    for name, part in statistics.items():
        if name not in STATISTICS or tuple(part.shape) != (record.n_latents, *STATISTICS[name]):
            raise WorkbenchError(
                "bad-probe",
                f"{path.name} does not fit its level",
                f"it holds {name[:40]} of shape {tuple(part.shape)} for {record.n_latents} latents",
                "Copy the probe again, or measure it anew.",
            )
