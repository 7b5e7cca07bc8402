"""Rows of the diagnostic "composes or generates?": does it tell worlds of selection from worlds of causes?

Codes are the true ones, so that the diagnostic is measured and no dictionary. Edges are the true ones, and then those
that a proposal finds, as many as there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field
from scipy import sparse

from app.suites.rows import Row, of_interval
from app.suites.suite import Suite
from concept_graphs.edges.registry import PROPOSALS
from concept_graphs.orientation import orientation
from probes.configs import Frozen
from probes.errors import Stopped
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.fit_maps import MapConfig
from probes.metrics.intervals import bootstrap, seeds_interval
from probes.metrics.metric import Better
from probes.runs import Run
from probes.worlds.registry import WORLDS
from probes.worlds.world import World

ANSWERS = {"storeys": "composes", "generated": "generates"}


class OrientationConfig(Frozen):
    """Worlds of either kind, and the diagnostic on each."""

    worlds: int = Field(default=20, description="Worlds of each kind.", ge=2, le=1000)
    rows: int = Field(default=4000, description="Rows of each world.", ge=256)
    first_seed: int = Field(
        default=100, description="Seed of the first world; the margin was chosen on seeds below 100.", ge=0
    )
    proposal: Annotated[str, PROPOSALS] = Field(
        default="lasso", description="Where edges come from, beside the true ones; one that needs codes alone."
    )


class _Seen(NamedTuple):
    """One pair of levels of one world: whether it composes, the dependence and the reading, by kind of edges."""

    composes: bool
    pair: str
    edges: str
    dependence: float
    reading: str


def orientation_rows(config: OrientationConfig, run: Run) -> Iterator[Row]:
    """AUROC of the dependence, and how often the reading is right, per pair of levels. Raises `Stopped` when asked
    to stop."""
    run.begin(steps=2 * config.worlds, message="making worlds")
    seen: list[_Seen] = []
    for seed in range(config.worlds):
        for at, name in enumerate(ANSWERS):
            if run.stop_requested():
                raise Stopped
            made = WORLDS.load(name)
            seen += _readings(made(made.Config(), config.first_seed + seed), ANSWERS[name] == "composes", seed, config)
            run.progress(2 * seed + at + 1)
    for edges in dict.fromkeys(one.edges for one in seen):
        for pair in dict.fromkeys(one.pair for one in seen):
            yield from _rows(f"orientation.{edges}.{pair}", [s for s in seen if (s.edges, s.pair) == (edges, pair)])


def _readings(world: World, composes: bool, seed: int, config: OrientationConfig) -> Iterator[_Seen]:
    codes = [sparse.csr_matrix(part) for part in world.draw(config.rows, 10_000 + seed).codes]
    names = [view.name for view in world.views]
    maker = PROPOSALS.load(config.proposal)(MapConfig(minimum_rows=20))
    for at, parts in enumerate(world.parts):
        both = PairedCodes(codes[at], codes[at + 1], np.arange(config.rows))
        target, source = np.nonzero(parts)
        found = maker.propose(both)
        best = slice(int(parts.sum()))
        for edges, ends in (("true", (source, target)), (config.proposal, (found.source[best], found.target[best]))):
            read = orientation(both, ends[0].tolist(), ends[1].tolist())
            value = np.nan if read.dependence is None else read.dependence.value
            yield _Seen(composes, f"{names[at]}-{names[at + 1]}", edges, value, read.reading)


def _rows(name: str, seen: list[_Seen]) -> Iterator[Row]:
    known = np.array([[one.composes, -one.dependence] for one in seen if one.dependence == one.dependence])
    if len(set(known[:, 0])) == 2:
        found = bootstrap([known], _auroc)
        unit = "area under the ROC curve of telling worlds that compose from worlds that generate; chance is 0.5"
        yield of_interval(f"{name}.auroc", found, unit, "up", baseline=0.5)
    for composes, answer in ((True, "composes"), (False, "generates")):
        own = [one for one in seen if one.composes is composes]
        values = [one.dependence for one in own if one.dependence == one.dependence]
        if values:
            unit = "correlation of parts of one whole given the whole, mean over worlds"
            yield of_interval(f"{name}.{answer}.dependence", seeds_interval([[value] for value in values]), unit)
        for reading in ("composes", "generates", "undecided"):
            hits = [[float(one.reading == reading)] for one in own]
            better: Better = "up" if reading == answer else "down"
            unit = f"share of worlds that truly {answer.removesuffix('s')} read as {reading}"
            yield of_interval(f"{name}.{answer}.read_{reading}", seeds_interval(hits), unit, better)


def _auroc(rows: np.ndarray) -> float:
    """Of resampled worlds `world 2`; one half where a resample has one kind only."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(rows[:, 0], rows[:, 1])) if len(set(rows[:, 0])) == 2 else 0.5


SUITE = Suite(OrientationConfig, orientation_rows, presets={"tiny": {"worlds": 3, "rows": 2000}})
