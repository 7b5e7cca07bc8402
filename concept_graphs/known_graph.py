"""A known graph and what was recovered of it, as a file: concepts, their latents, true edges and drawn ones.

Worlds alone have one: only there is the truth known, and only there may a graph be called identified.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from concept_graphs.tables import Count, LevelName
from probes.configs import Frozen, validated
from probes.files import read_json

KNOWN_FILE = "known-graph.json"
MAX_BYTES = 64 * 2**20
NO_LATENT = -1

Method = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=60)]
Joined = tuple[Count, Count]


class KnownLevel(Frozen):
    """A level of the world, and the latents that stand for its concepts."""

    name: LevelName = Field(description="Name of the level.")
    dimensions: int = Field(ge=1, description="Dimensions of its view; fewer than concepts crowds them.")
    latents: list[int] = Field(min_length=1, description="Latent of each concept; −1 for a concept without.")
    correlation: list[float] = Field(description="|Pearson| of each concept with its latent on rows not matched on.")
    twins: list[list[Count]] = Field(description="Concepts that are parts of exactly the same, in blocks.")


class KnownPair(Frozen):
    """Two neighbouring levels: edges of the world, and those that each method drew."""

    name: str = Field(max_length=100, description="Names of both levels, lower first.")
    true: list[Joined] = Field(description="Edges of the world: lower and higher concept.")
    drawn: dict[Method, list[Joined]] = Field(description="By method, edges it drew: lower and higher latent.")


class KnownGraph(Frozen):
    """The file known-graph.json."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    kind: Literal["known-graph"] = Field(default="known-graph", description="Always known-graph.")
    world: str = Field(max_length=60, description="The world.")
    codes: str = Field(max_length=60, description="Where codes came from: oracle, or an architecture.")
    direction: Literal["composes", "generates"] = Field(description="Which way the world computes its levels.")
    seed: int = Field(ge=0, description="Seed of the world that is shown.")
    levels: list[KnownLevel] = Field(min_length=2, max_length=64, description="Levels, the lowest first.")
    pairs: list[KnownPair] = Field(description="Pairs of neighbouring levels, the lowest first.")

    @model_validator(mode="after")
    def _fits(self) -> KnownGraph:
        sizes = [len(level.latents) for level in self.levels]
        if len(self.pairs) != len(sizes) - 1 or any(len(level.correlation) != n for level, n in self._sized()):
            raise ValueError("levels and pairs do not fit each other")
        for pair, low, high in zip(self.pairs, sizes, sizes[1:], strict=False):
            if any(part >= low or whole >= high for part, whole in pair.true):
                raise ValueError(f"an edge of {pair.name} joins a concept there is not")
        if any(concept >= n for level, n in self._sized() for block in level.twins for concept in block):
            raise ValueError("a twin is a concept there is not")
        return self

    def _sized(self) -> list[tuple[KnownLevel, int]]:
        return [(level, len(level.latents)) for level in self.levels]

    @property
    def methods(self) -> list[str]:
        """What drew edges between every pair of levels."""
        return [name for name in self.pairs[0].drawn if all(name in pair.drawn for pair in self.pairs)]


class Held(NamedTuple):
    """Drawn edges held against the true ones, each (lower, higher) concepts; `astray` are drawn edges, of latents, with
    an end that stands for no concept."""

    found: list[Joined]
    missed: list[Joined]
    extra: list[Joined]
    astray: list[Joined]


def held_against(known: KnownGraph, at: int, method: str) -> Held:
    """What a method drew between a pair of levels, as edges between concepts."""
    low, high = ({latent: n for n, latent in enumerate(level.latents)} for level in known.levels[at : at + 2])
    true = {(part, whole) for part, whole in known.pairs[at].true}
    drawn, astray = set[Joined](), []
    for source, target in known.pairs[at].drawn.get(method, []):
        if source in low and target in high:
            drawn.add((low[source], high[target]))
        else:
            astray.append((source, target))
    return Held(sorted(true & drawn), sorted(true - drawn), sorted(drawn - true), astray)


def joined(table: np.ndarray) -> list[Joined]:
    """The true cells of `high low` as (low, high)."""
    return [(int(source), int(target)) for target, source in np.argwhere(table)]


def read_known(folder: Path) -> KnownGraph:
    """The file in a folder. Raises `WorkbenchError` where there is none, or one that does not fit."""
    return validated(KnownGraph, read_json(folder / KNOWN_FILE, limit=MAX_BYTES), what=f"The known graph {folder.name}")


def twins_said(known: KnownGraph, most: int = 3) -> list[str]:
    """Per level with twins one sentence: they can be told apart as a block only."""
    said = []
    for level, above in zip(known.levels, known.levels[1:], strict=False):
        if not level.twins:
            continue
        blocks = [_listed([f"{level.name}/{n}" for n in block]) for block in level.twins[:most]]
        more = len(level.twins) - len(blocks)
        rest = [f"and {more} more block{'s' if more > 1 else ''}"] if more else []
        said.append(
            f"Concepts that are parts of exactly the same concepts of {above.name} can be told apart only as a block: "
            f"{'; '.join([*blocks, *rest])}."
        )
    return said


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
