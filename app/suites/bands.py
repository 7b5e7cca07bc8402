"""Band rows: one dictionary per noise band, one for the whole trajectory, and one whose input is modulated by band.

All read the same rows with as many latents, the same active latents and the same number of rows per band: the one
for the whole trajectory is given a batch as many times larger as there are bands, so that none has seen more of
a band than another.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from app.suites.rows import FEW_SEEDS, Row, of_interval
from app.suites.suite import Suite
from probes.activations.store import ActivationStore
from probes.artefacts import resolve
from probes.configs import Frozen
from probes.errors import Stopped, WorkbenchError
from probes.hierarchy.measure_level import measured_level
from probes.hierarchy.probe import Level
from probes.hierarchy.train_level import LevelConfig, level_objective, rows_for, trajectory_objective
from probes.metrics.intervals import seeds_interval
from probes.metrics.metric import Metric
from probes.metrics.registry import METRICS
from probes.runs import Run
from probes.training.loop import OptimiserConfig, Progress, train
from probes.training.objective import Objective

Way = Literal["each", "shared", "conditioned"]
SHOWN = ("explained_variance", "dead", "l0")


class BandsConfig(Frozen):
    """Dictionaries for the noise bands of a store of images, made in three ways at each of some hook points."""

    store: str = Field(default="", description="Store of images, captured from trajectories.")
    points: tuple[str, ...] = Field(default=(), description="Hook points, each by itself; empty for the store's first.")
    ways: tuple[Way, ...] = Field(
        default=("each", "shared", "conditioned"), description="Which ways are compared.", min_length=1
    )
    n_latents: int = Field(default=1024, description="Latents of every dictionary.", ge=8)
    k: float = Field(default=16, description="Active latents per row.", gt=0)
    steps: int = Field(default=600, description="Training steps per band.", ge=1)
    batch: int = Field(default=1024, description="Rows of a band per step.", ge=2)
    learning_rate: float = Field(default=2e-3, description="Learning rate of all of them.", gt=0)
    dead_after: int = Field(default=50_000, description="Rows without firing after which a latent is dead.", ge=1)
    seeds: int = Field(default=3, description="Seeds of training.", ge=1, le=20)


def band_rows(config: BandsConfig, run: Run) -> Iterator[Row]:
    """Per way and band explained variance, dead share and L0 on held-out prompts; the mean over bands is compared
    with a dictionary for each. Raises `WorkbenchError` for a store without bands, `Stopped` when asked to stop."""
    store = _banded(config.store)
    points = config.points or (str(store.index.points[0].point),)
    run.begin(steps=len(points) * len(config.ways) * config.seeds, message="training dictionaries")
    done = itertools.count(1)
    for point in points:
        yield from _point_rows(store, config, point, run, done)


def _banded(ref: str) -> ActivationStore:
    """A store of images by bands of noise. Raises `WorkbenchError` for another one."""
    store = ActivationStore(resolve(ref, "store"))
    if not store.index.bands:
        raise WorkbenchError(
            "no-bands", f"The store {ref!r} has no noise bands", "it is not of images", "Capture images."
        )
    return store


def _point_rows(
    store: ActivationStore, config: BandsConfig, point: str, run: Run, done: Iterator[int]
) -> Iterator[Row]:
    places = [f"{point}@noise={low!r}-{high!r}" for low, high in store.index.bands]
    apart: list[float] = []
    for way in sorted(config.ways, key=lambda way: way != "each"):
        found = []
        for seed in range(config.seeds):
            run.update(message=f"{point}, {way}, seed {seed}")
            found.append([level.record.figures for level in _levels(store, config, places, way, seed, run)])
            run.progress(next(done))
        name = f"bands.{point}.{way}"
        for number, (low, high) in enumerate(store.index.bands):
            yield from _rows(f"{name}.{low:g}-{high:g}", [seed[number] for seed in found])
        means = [float(np.mean([band["explained_variance"] for band in seed])) for seed in found]
        apart = means if way == "each" else apart
        baseline = float(np.mean(apart)) if apart and way != "each" else None
        interval = seeds_interval([[value] for value in means])
        unit = "explained variance, mean over bands; interval over seeds"
        yield of_interval(f"{name}.explained_variance", interval, unit, "up", baseline=baseline)


def _rows(name: str, seeds: Sequence[Mapping[str, float]]) -> Iterator[Row]:
    for figure in SHOWN:
        metric: Metric = METRICS.load(figure)
        values = [seed[figure] for seed in seeds]
        found = seeds_interval([[value] for value in values])
        yield of_interval(f"{name}.{figure}", found, f"{metric.unit}; interval over seeds", metric.better)
        if 1 < len(values) < FEW_SEEDS:
            for seed, value in enumerate(values):
                yield Row(name=f"{name}.{figure}.seed-{seed}", value=value, unit=metric.unit, better=metric.better)


def _levels(
    store: ActivationStore, config: BandsConfig, places: Sequence[str], way: Way, seed: int, run: Run
) -> list[Level]:
    """The bands' dictionaries of one way and seed, measured."""
    each = way == "each"
    share = 1 if each else len(places)
    optimiser = OptimiserConfig(
        steps=config.steps, batch=config.batch * share, learning_rate=config.learning_rate, checkpoint_every=10**6
    )
    configs = [
        LevelConfig(at=at, n_latents=config.n_latents, k=config.k, dead_after=config.dead_after, optimiser=optimiser)
        for at in places
    ]
    rows = [rows_for(store, one, 1000 * seed + at, share=share) for at, one in enumerate(configs)]
    if each:
        states = [
            _trained(level_objective(part, one, 1000 * seed + at), part.batch_at, one, run)
            for at, (part, one) in enumerate(zip(rows, configs, strict=True))
        ]
    else:
        objective, batch_at = trajectory_objective(rows, configs[0], 1000 * seed, modulates=way == "conditioned")
        states = [_trained(objective, batch_at, configs[0], run)] * len(places)
    return [
        measured_level(store, f"band-{at}", one, state, None if each else at)
        for at, (one, state) in enumerate(zip(configs, states, strict=True))
    ]


def _trained(objective: Objective, batch_at: Any, config: LevelConfig, run: Run) -> dict[str, Tensor]:
    progress = Progress(lambda step, values: None, run.stop_requested, lambda step, tensors, state: None)
    if train(objective, batch_at, config.optimiser, progress) == "stopped":
        raise Stopped
    return {name: part.detach() for name, part in objective.module().state_dict().items()}


SUITE = Suite(BandsConfig, band_rows, of="store", suits=lambda config: _banded(config.store))
