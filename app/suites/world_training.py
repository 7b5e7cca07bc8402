"""Training and scoring the dictionaries of the worlds' suite.

Every architecture has the same rows, latents, steps and number of active latents (the world's own mean). Its
learning rate is chosen on calibration rows of the first seed; concepts are matched on calibration rows; every
figure is taken on rows used for nothing else. Nothing is told of the hierarchy: widths are the defaults.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, NamedTuple, Self

import torch
from pydantic import Field, model_validator

from app.suites.kept import Kept
from probes.activations.rows import RowKind
from probes.activations.store import PointInfo
from probes.addresses import HookPoint
from probes.autoencoders.fitting import DictionaryConfig, finished, new_autoencoder, objective_of
from probes.autoencoders.nested import differing
from probes.autoencoders.registry import AUTOENCODERS
from probes.configs import Frozen, validated
from probes.errors import Stopped
from probes.hierarchy.choice import best, tried
from probes.hierarchy.probe import Level, LevelRecord
from probes.metrics.moments import Moments
from probes.metrics.recovery import Recovered, recovered
from probes.refusals import Unfit
from probes.runs import Run
from probes.training.loop import Progress, train
from probes.worlds.registry import WORLDS
from probes.worlds.rows import ArrayRows
from probes.worlds.world import Sample, View, World

FLAT = "batch_topk"  # what nested and hierarchical dictionaries are without their nesting
NESTED = ("matryoshka", "hierarchical")
FEWEST_LATENTS = 32  # below that, default nested widths do not differ by a latent, and fewer of them are taken


class WorldTrainingConfig(Frozen):
    """How dictionaries of a world are trained."""

    seeds: int = Field(default=5, description="Seeds of world and training.", ge=1, le=100)
    rows: int = Field(default=24_000, description="Rows to train on; half as many to match, and to score.", ge=512)
    latents: float = Field(default=1.5, description="Latents per concept.", ge=1, le=64)
    fewest: int = Field(default=FEWEST_LATENTS, description="Latents of a view with few concepts.", ge=8, le=100_000)
    steps: int = Field(default=1500, description="Training steps.", ge=1)
    batch: int = Field(default=256, description="Rows per step.", ge=8)
    rates: tuple[float, ...] = Field(default=(1e-3, 3e-3, 1e-2), description="Learning rates to try.", min_length=1)

    @model_validator(mode="after")
    def _can_be_trained(self) -> Self:
        if min(self.rates) <= 0:
            raise Unfit("rates", "every rate must be more than 0")
        if self.batch > self.rows:
            raise Unfit("batch", f"it must be at most the {self.rows} rows there are to train on")
        return self


class WorldsConfig(WorldTrainingConfig):
    """Which worlds and architectures, and how much of each."""

    worlds: tuple[Annotated[str, WORLDS], ...] = Field(
        default=("mixture", "tree", "loose"), description="Worlds.", min_length=1
    )
    architectures: tuple[Annotated[str, AUTOENCODERS], ...] = Field(
        default=("topk", FLAT, "jumprelu", *NESTED), description="Architectures.", min_length=1
    )


class Case(NamedTuple):
    """One seed of one world: rows to train on, to choose and match on, and to score on."""

    world: World
    train: Sample
    calibration: Sample
    held_out: Sample


class Found(NamedTuple):
    """What one dictionary came to: figures per concept, and of the whole."""

    recovered: Recovered
    figures: dict[str, float]


def case_of(name: str, config: WorldTrainingConfig, seed: int, **options: Any) -> Case:
    """The case of a world's seed; `options` set the world's dials."""
    made = WORLDS.load(name)
    world: World = made(made.Config(**options), seed)
    sizes = (config.rows, config.rows // 2, config.rows // 2)
    return Case(world, *(world.draw(rows, 1000 * (part + 1) + seed) for part, rows in enumerate(sizes)))


def _config_of(config: WorldTrainingConfig, architecture: str, view: View, truth: Sample, at: int) -> DictionaryConfig:
    """The same budget for all: the world's own number of concepts on, and the same latents and steps."""
    k = float((truth.codes[at] > 0).sum(axis=1).mean())
    n = max(round(config.latents * view.n), config.fewest)
    options: dict[str, Any] = {"kind": architecture}
    nested = AUTOENCODERS.load(architecture).Options.model_fields.get("widths")
    if nested is not None and n < FEWEST_LATENTS:
        options["widths"] = differing(nested.default, n)
    return validated(
        DictionaryConfig,
        {
            "autoencoder": options,
            "n_latents": n,
            "k": round(k) if architecture == "topk" else k,
            "dead_after": 20 * config.batch,
            "optimiser": {"steps": config.steps, "batch": config.batch, "checkpoint_every": 10**6},
        },
        what=f"The {architecture} dictionary",
    )


def found_in(
    config: WorldsConfig, label: str, architecture: str, at: int, cases: list[Case], seed: int, kept: Kept, run: Run
) -> Found:
    """One trained dictionary and its figures."""
    level = level_in(config, label, architecture, at, cases[seed], seed, kept, run)
    return _scored(cases[seed], at, level)


def level_in(
    config: WorldTrainingConfig, label: str, architecture: str, at: int, case: Case, seed: int, kept: Kept, run: Run
) -> Level:
    """One trained dictionary, from the run where it was kept. Seed 0 chooses the learning rate and comes first."""
    name = f"{label}-{architecture}-{seed}"
    level = kept.get(name)
    if level is None:
        rate = _rate(f"{label}-{architecture}-0", kept) if seed else None
        level = _trained(config, architecture, at, case, seed, rate, run)
        level = kept.put(name, level, seed, level.record.figures)
    return level


def _rate(first: str, kept: Kept) -> float:
    """The learning rate that the first seed chose; seeds are trained in order."""
    level = kept.get(first)
    assert level is not None
    return level.record.figures["learning_rate"]


def _trained(
    config: WorldTrainingConfig, architecture: str, at: int, case: Case, seed: int, rate: float | None, run: Run
) -> Level:
    """Train at the chosen rate, or at every rate and take the best on calibration rows."""
    view = case.world.views[at]
    base = _config_of(config, architecture, view, case.train, at)
    x, sample = (torch.from_numpy(part.x[at]) for part in (case.train, case.calibration))
    point = HookPoint(path=view.name)
    made, seconds = {}, {}
    judged = []
    for chosen in config.rates if rate is None else (rate,):
        level = base.model_copy(update={"optimiser": base.optimiser.model_copy(update={"learning_rate": chosen})})
        begun = time.monotonic()
        module = new_autoencoder(level, x.shape[1], seed=seed)
        module.begin(x[:8192])
        rows = ArrayRows(x, batch=config.batch, seed=seed)
        quiet = Progress(lambda step, values: None, run.stop_requested, lambda *state: None)
        if train(objective_of(module, level), rows.batch_at, level.optimiser, quiet) == "stopped":
            raise Stopped
        made[chosen], seconds[chosen] = module, time.monotonic() - begun
        judged.append(tried(level, module, sample, point))
    taken = best(judged, base.k)
    rate = taken.config.optimiser.learning_rate
    space = finished(made[rate], taken.config, sample, point, view.name)
    info = PointInfo(point=point, d_model=x.shape[1], median_norm=float(x.norm(dim=1).median()), masks_outliers=False)
    record = LevelRecord(
        name=view.name,
        point=info,
        rows=RowKind(),
        n_latents=space.n_latents,
        k=base.k,
        figures={"learning_rate": rate, "seconds": seconds[rate]},
    )
    return Level(record, space, {})


def _scored(case: Case, at: int, level: Level) -> Found:
    """Match on calibration rows, score on the others."""
    view = case.world.views[at]
    rows = torch.from_numpy(case.held_out.x[at])
    codes = level.space.encode(rows)
    moments = Moments(rows.double().mean(dim=0), level.space.n_latents)
    moments.add(rows, level.space.reconstruct(rows, codes), codes.index, codes.value)
    matching = level.space.encode(torch.from_numpy(case.calibration.x[at])).csr()
    found = recovered(
        (case.calibration.codes[at], matching),
        (case.held_out.codes[at], codes.csr()),
        (view.directions, level.space.w_dec.numpy()),
        view.members,
    )
    figures = {**moments.figures(), **{key: level.record.figures[key] for key in ("seconds", "learning_rate")}}
    return Found(found, figures)
