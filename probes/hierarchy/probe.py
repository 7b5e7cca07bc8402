"""A probe: levels, the selection maps between them, and what was measured of each latent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from probes.activations.rows import RowKind
from probes.activations.store import EVERYWHERE, PointInfo
from probes.addresses import HookPoint, Selector
from probes.artefacts import MANIFEST, Parent, resolve, write_manifest
from probes.autoencoders.dictionary import Dictionary
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.files import commit_directory, read_json, write_json
from probes.hierarchy.selection_map import SelectionMap
from probes.latents import LatentTable
from probes.tensors import load_tensors, save_tensors

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
HISTOGRAM_BINS = 16
NOISE_BINS = 20
# What is kept of every latent, and how much of each; what was not measured is zero.
STATISTICS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("typical", "frequency", "mean_active", "largest", "spread", "spread_floor"), ()),
    "quantiles": (len(QUANTILES),),
    "histogram": (HISTOGRAM_BINS,),
    **dict.fromkeys(("silent", "revived", "seed_agreement"), ()),
}
# Kept where there is a trajectory: the mean activation at noise of each of equal bins from 0 to 1; −1 where
# no frame was seen.
OF_TRAJECTORIES: dict[str, tuple[int, ...]] = {"profile": (NOISE_BINS,)}


class LevelRecord(Frozen):
    """What `probe.json` says of one level."""

    name: str = Field(description="Name of the level.", pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    point: PointInfo = Field(description="Hook point with its norms.")
    rows: RowKind = Field(description="What is encoded at a time.")
    where: Selector = Field(default=EVERYWHERE, description="Which part of a run, such as a noise interval.")
    n_latents: int = Field(description="Width of the dictionary.", ge=1)
    k: float = Field(description="Active latents per row, calibrated to or else measured.", gt=0)
    writes: HookPoint | None = Field(default=None, description="Where its decoder writes, when not where it reads.")
    figures: dict[str, float] = Field(default={}, description="Held-out metrics, each named with its convention.")


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
    """One storey: a latent space, a selector, a kind of row, and per-latent statistics (`n_latents`)."""

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
    def address(self) -> str:
        """Hook point and selector as one string."""
        return f"{self.record.point.point}@{self.where}".removesuffix("@")


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
    """Write a level's dictionary and statistics into a folder; its record is the caller's to keep."""
    statistics = {name: part.float() for name, part in _complete(level.statistics, level.space.n_latents)}
    statistics |= {name: level.statistics[name].float() for name in OF_TRAJECTORIES if name in level.statistics}
    save_tensors(folder / f"level-{level.name}.safetensors", {**level.space.tensors(), **statistics})


def open_probe(ref: str | Path) -> Probe:
    """Open a probe by name, path or URL. Raises `WorkbenchError` for whatever is wrong with it."""
    path = resolve(ref, "probe")
    if not (path / MANIFEST).is_file():
        raise WorkbenchError("no-probe", f"{ref} is no probe", "it has no manifest", "Train it to the end first.")
    record = validated(ProbeRecord, read_json(path / "probe.json"), what=f"The probe {ref}")
    levels = tuple(open_level(path, level) for level in record.levels)
    maps = tuple(
        SelectionMap.from_tensors(low, high, load_tensors(path / f"map-{low}-{high}.safetensors"))
        for low, high in record.maps
    )
    return Probe(record, levels, maps, str(ref))


def open_level(path: Path, record: LevelRecord) -> Level:
    """A level from the folder that holds its file."""
    tensors = load_tensors(path / f"level-{record.name}.safetensors")
    names = tuple(f"{record.name}/{latent}" for latent in range(record.n_latents))
    statistics = dict(_complete(tensors, record.n_latents))
    table = LatentTable(names, statistics["typical"], statistics["frequency"])
    statistics |= {name: tensors[name] for name in OF_TRAJECTORIES if name in tensors}
    weights = {name: part for name, part in tensors.items() if name not in {**STATISTICS, **OF_TRAJECTORIES}}
    space = Dictionary.from_tensors(weights, table, record.point.point, record.writes)
    return Level(record, space, statistics)


def _complete(statistics: Mapping[str, Tensor], n: int) -> Iterator[tuple[str, Tensor]]:
    """Every statistic by name, zero where it was not measured."""
    for name, shape in STATISTICS.items():
        yield name, statistics[name] if name in statistics else torch.zeros(n, *shape)
