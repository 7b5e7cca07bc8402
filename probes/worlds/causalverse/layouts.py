"""Which splits a folder holds, told apart by looking: names and layouts, nothing opened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from probes.errors import WorkbenchError
from probes.worlds.causalverse.paths import kept_inside
from probes.worlds.causalverse.stored import quoted, refused

Layout = Literal["exported", "parquet", "video"]
SHARD = re.compile(r"(\w+)-(\d{5})-of-(\d{5})\.parquet")
SHARDS_IN = ("", "data")  # an export of the hub keeps shards in data/
LATENTS_IN = ("latents", "latent")
MOST_ENTRIES = 10_000


class Split(NamedTuple):
    """A split, and where it is: its table, a folder of its shards, or the folder of its scene."""

    name: str
    layout: Layout
    place: Path


def find_split(root: Path, name: str, layout: Layout | Literal["auto"]) -> Split:
    """The one split of this name (any, where it is empty) and layout below `root`, which is resolved.

    Raises `WorkbenchError` saying what there is instead where none or more than one fits.
    """
    found = [split for split in splits(root) if layout in ("auto", split.layout)]
    fits = [split for split in found if not name or split.name.lower() == name.lower()]
    if len(fits) == 1:
        return fits[0]
    there = ", ".join(sorted({f"{split.name} ({split.layout})" for split in fits or found})[:20])
    if len(fits) > 1:
        raise refused(f"The folder {root.name}", f"it holds {there}", "Say which with split, and with layout.")
    if found:
        raise refused(f"The split {quoted(name)}", f"the folder holds {there}", "Name one of them.")
    raise _nothing(root)


def splits(root: Path) -> list[Split]:
    """Every split below `root`, in the order of their names."""
    return sorted([*_exported(root), *_shards(root), *_scenes(root)])


def _exported(root: Path) -> Iterator[Split]:
    """Tables `SPLIT/SPLIT.csv`, or `SPLIT.csv` where the other is not there."""
    inside = {folder.name: folder / f"{folder.name}.csv" for folder in _entries(root) if folder.is_dir()}
    beside = {table.stem: table for table in _entries(root) if table.suffix == ".csv" and table.is_file()}
    tables = beside | {name: table for name, table in inside.items() if table.is_file()}
    yield from (Split(name, "exported", kept_inside(root, table, table.name)) for name, table in tables.items())


def _shards(root: Path) -> Iterator[Split]:
    for folder in (root / inside for inside in SHARDS_IN):
        shards = (SHARD.fullmatch(entry.name) for entry in _entries(folder))
        yield from (Split(name, "parquet", folder) for name in {shard[1] for shard in shards if shard})


def _scenes(root: Path) -> Iterator[Split]:
    """Folders `domain/scene` that have a `meta` and videos or latents."""
    for domain in (folder for folder in _entries(root) if folder.is_dir()):
        for scene in _entries(domain):
            if (scene / "meta").is_dir() and any((scene / name).is_dir() for name in ("video", *LATENTS_IN)):
                yield Split(f"{domain.name}/{scene.name}", "video", kept_inside(root, scene, scene.name))


def _entries(folder: Path) -> list[Path]:
    return sorted(islice(folder.iterdir(), MOST_ENTRIES)) if folder.is_dir() else []


def _nothing(root: Path) -> WorkbenchError:
    return refused(
        f"The folder {root.name}",
        "it holds no SPLIT/SPLIT.csv, no split-00000-of-00005.parquet and no domain/scene/meta",
        "Name the folder that holds the splits of CausalVerse, or choose another layout.",
    )
