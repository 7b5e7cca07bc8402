"""The atlas: decoder rows of all levels of a probe as points in the plane, near where they point the same way.

UMAP with cosine distance, a fixed seed and a start from principal components, so that the same probe gives the same
map. Decoder rows can be compared only inside one space. Levels share a map where their rows have the same width and
lie nearer to each other than to the same rows turned at random (`one_space`), as the blocks of one residual stream
do; every other level has a map of its own. Which it is, is measured and not read off the names of hook points: an
update is written into a stream that a later block may have mixed anew.

The map is of a probe, not of a graph, so graphs of one probe share it. Opening one needs neither torch nor umap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from concept_graphs.tables import LevelName
from probes.artefacts import artefact_path, available, parent_of, read_manifest, resolve, write_manifest
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.files import atomic_write, commit_directory, read_json, to_json
from probes.runs import Run

if TYPE_CHECKING:
    from probes.hierarchy.probe import Level, Probe

ATLAS_FILE = "atlas.json"
MAX_BYTES = 64 * 2**20
TURNS, SAMPLE = 39, 512
FEW = 8  # rows that have no neighbourhoods worth the name: principal components place them

Floats = NDArray[np.float64]


class AtlasConfig(Frozen):
    """Place the decoder rows of a probe in the plane, near where they point the same way."""

    probe: str = Field(description="Probe whose decoder rows are placed.", min_length=1)
    name: str = Field(default="", description="Name of the atlas to make; empty for the probe's.", max_length=64)
    neighbours: int = Field(default=15, description="Neighbours that decide how local the map is.", ge=2, le=200)
    distance: float = Field(default=0.1, description="Least distance of two points of the map.", ge=0, le=1)
    most: int = Field(default=20_000, description="Most latents of a level, those that carry most of the codes.", ge=1)
    seed: int = Field(default=0, description="Seed of the map.", ge=0, le=2**31)


class Points(Frozen):
    """Where the latents of one level lie in its map: columns of equal length."""

    latent: list[int] = Field(description="Index of the latent in its level.")
    x: list[float] = Field(description="Place from left to right, 0 to 1.")
    y: list[float] = Field(description="Place from bottom to top, 0 to 1.")

    @model_validator(mode="after")
    def _even(self) -> Points:
        if not len(self.latent) == len(self.x) == len(self.y):
            raise ValueError("its columns differ in length")
        if not all(0 <= value <= 1 for column in (self.x, self.y) for value in column):
            raise ValueError("a place lies outside the map")
        return self


class Atlas(Frozen):
    """The file atlas.json: maps, lowest level first, and what they hold."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    kind: Literal["atlas"] = Field(default="atlas", description="Always atlas.")
    probe: str = Field(max_length=400, description="The probe the decoder rows belong to.")
    maps: list[list[LevelName]] = Field(description="Levels of each map, lowest first.", min_length=1, max_length=12)
    points: dict[LevelName, Points] = Field(description="Level to the places of its latents.")
    left_out: dict[LevelName, int] = Field(description="Level to latents that are not placed: dead, or too many.")
    settings: AtlasConfig = Field(description="How it was made.")

    @model_validator(mode="after")
    def _complete(self) -> Atlas:
        names = [name for levels in self.maps for name in levels]
        if sorted(names) != sorted(self.points):
            raise ValueError("its maps are not of the levels it has points of")
        return self

    @classmethod
    def load(cls, folder: Path) -> Atlas:
        """Read a saved atlas. Raises `WorkbenchError` for a folder that holds none, or a damaged one."""
        read_manifest(folder, verify=(ATLAS_FILE,))
        return validated(cls, read_json(folder / ATLAS_FILE, limit=MAX_BYTES), what=f"The atlas {folder.name}")


def atlas_of(probe: str) -> Atlas | None:
    """The newest atlas of a probe as it is now, by the probe's name; None where none was made.

    Raises `WorkbenchError` when there is no such probe, and for an atlas that is damaged.
    """
    resolve(probe, "probe", names_only=True)
    hashed = parent_of(probe, "probe").sha256
    for ref in available("atlas"):
        folder = resolve(ref, "atlas", names_only=True)
        parent = read_manifest(folder).parents.get("probe")
        if parent is not None and parent.sha256 == hashed:
            return Atlas.load(folder)
    return None


def work(config: AtlasConfig, run: Run) -> Path | None:
    """Make the atlas of a probe, replacing an earlier one. None when stopped."""
    from probes.hierarchy.probe import open_probe

    run.begin(message="reading the probe")
    made = atlas_from(open_probe(config.probe), config, run)
    if made is None:
        return None
    name = config.name or config.probe
    target = artefact_path("atlas", name)
    with commit_directory(target, replace=True) as folder:
        atomic_write(folder / ATLAS_FILE, to_json(made.model_dump(mode="json"), indent=None))
        parents = {"probe": parent_of(config.probe, "probe")}
        write_manifest(folder, kind="atlas", name=name, command=run.record().command, run=run.slug, parents=parents)
    return target


def atlas_from(probe: Probe, config: AtlasConfig, run: Run) -> Atlas | None:
    """The atlas of a probe; the run is told which map is being made. None when stopped."""
    latents = {level.name: placed_latents(level, config.most) for level in probe.levels}
    rows = {level.name: _rows(level, latents[level.name]) for level in probe.levels}
    rows = {name: part for name, part in rows.items() if len(part)}
    if not rows:
        raise WorkbenchError(
            "no-latents", f"{config.probe} has no atlas", "all its latents are dead", "Train it longer."
        )
    maps, points = spaces(rows, config.seed), {}
    run.begin(steps=len(maps), message="importing umap")
    for done, levels in enumerate(maps):
        if run.stop_requested():
            return None
        run.progress(done, message=f"placing {', '.join(levels)}", force=True)
        placed = plane(np.concatenate([rows[name] for name in levels]), config)
        for name, part in _parts(placed, [(name, len(rows[name])) for name in levels]):
            points[name] = Points(
                latent=latents[name].tolist(), x=part[:, 0].round(4).tolist(), y=part[:, 1].round(4).tolist()
            )
    run.progress(len(maps), force=True)
    left = {level.name: level.record.n_latents - len(latents[level.name]) for level in probe.levels}
    return Atlas(probe=config.probe, maps=maps, points=points, left_out=left, settings=config)


def placed_latents(level: Level, most: int) -> NDArray[np.int64]:
    """Latents that fire at all, in order; where there are more than `most`, those that carry most of the codes."""
    alive = level.space.w_dec.float().norm(dim=1).numpy() > 0
    weight = np.ones(level.record.n_latents)
    if {"frequency", "mean_active"} <= level.statistics.keys():
        weight = (level.statistics["frequency"] * level.statistics["mean_active"]).double().numpy()
    found = np.flatnonzero(alive & (weight > 0))
    return np.sort(found[np.argsort(-weight[found], kind="stable")[:most]])


def _rows(level: Level, latents: NDArray[np.int64]) -> Floats:
    """Decoder rows of unit length, `latent d`."""
    found = level.space.w_dec[latents.tolist()].double().numpy()
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def _parts(values: Floats, sizes: Sequence[tuple[str, int]]) -> Iterator[tuple[str, Floats]]:
    at = 0
    for name, size in sizes:
        yield name, values[at : at + size]
        at += size


def spaces(rows: Mapping[str, Floats], seed: int) -> list[list[str]]:
    """Levels by the space their rows lie in, in the given order. `rows`: level to `latent d`, of unit length."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    names = list(rows)
    joined = np.zeros((len(names), len(names)), dtype=bool)
    for a, b in combinations(range(len(names)), 2):
        joined[a, b] = one_space(rows[names[a]], rows[names[b]], seed).shared
    own = connected_components(csr_matrix(joined), directed=False)[1]
    return [[name for name, group in zip(names, own, strict=True) if group == one] for one in dict.fromkeys(own)]


class Compared(NamedTuple):
    """How near the rows of two levels lie: the mean over rows of the best cosine, and the largest of the same with
    one of both turned at random. `shared`: more than that."""

    near: float
    turned: float

    @property
    def shared(self) -> bool:
        return self.near > self.turned


def one_space(a: Floats, b: Floats, seed: int = 0) -> Compared:
    """Whether rows `n d` and `m d` of unit length are directions of one space; of different width they never are.

    A turn permutes the dimensions and changes signs at random: lengths and angles inside `b` stay, what they have
    to do with `a` goes. Unrelated levels pass one time in forty.
    """
    if a.shape[1] != b.shape[1]:
        return Compared(0.0, 1.0)
    random = np.random.default_rng(seed)
    a, b = (part[random.permutation(len(part))[:SAMPLE]] for part in (a, b))
    turned = []
    for _ in range(TURNS):
        sign = random.choice((-1.0, 1.0), size=b.shape[1])
        turned.append(_nearest(a, b[:, random.permutation(b.shape[1])] * sign))
    return Compared(_nearest(a, b), max(turned))


def _nearest(a: Floats, b: Floats) -> float:
    return float((a @ b.T).max(axis=1).mean())


def plane(rows: Floats, config: AtlasConfig) -> Floats:
    """Rows `n d` of unit length as points `n 2` in [0, 1], the longer way across and both ways to one scale."""
    if len(rows) < FEW:
        placed = _turned(rows)
    else:
        import numba
        from umap import UMAP

        # Its loops run on one thread. Numba's OpenMP layer would start all the same, and from then on torch computes
        # other bits in other threads of this process than in the first.
        vars(numba.config)["THREADING_LAYER"] = "workqueue"
        reducer = UMAP(
            n_neighbors=min(config.neighbours, len(rows) - 1),
            min_dist=config.distance,
            metric="cosine",
            init="pca",
            random_state=config.seed,
            n_jobs=1,
        )
        placed = _turned(reducer.fit_transform(rows.astype(np.float32)).astype(np.float64))
    low, reach = placed.min(axis=0), float(np.ptp(placed, axis=0).max())
    middle = (1 - np.ptp(placed, axis=0) / reach) / 2 if reach > 0 else np.full(2, 0.5)
    return np.asarray(((placed - low) / (reach or 1.0) + middle).clip(0, 1))


def _turned(points: Floats) -> Floats:
    """The first two principal components, `n 2`, zero where there are fewer; the larger half of each on the right."""
    centred = points - points.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(points), 2))
    kept = (u * s)[:, :2]
    found[:, : kept.shape[1]] = kept * np.where((kept**3).sum(axis=0) < 0, -1.0, 1.0)
    return found
