"""The grid: every task under every constraint, on several worlds, at the weight that leaves the task its information.

Two passes, each made of cells that are kept as soon as they are done: every weight on the first worlds; then on all
worlds the weight that was chosen. Every cell is trained from several starts. Neither weights nor starts are chosen by
the truth.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from itertools import combinations, product
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from probes.configs import Frozen, validated
from probes.errors import Stopped
from probes.files import read_json, write_json
from probes.metrics.factor_recovery import factor_recovery
from probes.representations.cell import GRID_CONSTRAINTS, GRID_TASKS, NONE, Cell, NetworkConfig, PartOptions
from probes.representations.compatibility import incompatible
from probes.representations.representation import LatentModel
from probes.representations.scoring import Floats, Score, ScoringConfig, latents_of, losses, score
from probes.representations.setting import AnyWorld, Setting
from probes.representations.spec import Spec
from probes.representations.training import Pair, equalising_scale, trained, warmed_up
from probes.runs import Run
from probes.tensors import load_tensors, save_tensors
from probes.worlds.vectors import VectorsConfig

TASKS = ("reconstruction", "denoising", "infonce", "vicreg", "latent_prediction", "supervised", "supervised_partial")
CONSTRAINTS = (NONE, "kl", "conditional_prior", "mechanism_sparsity", "minimal_change", "covariance")
COMPARED = 1000  # held-out rows whose latents are kept, to compare starts


class GridConfig(PartOptions):
    """Tasks, constraints, a world, and how cells are trained, weighed and scored."""

    tasks: tuple[Annotated[str, GRID_TASKS], ...] = Field(default=TASKS, description="Tasks, the rows.", min_length=1)
    constraints: tuple[Annotated[str, GRID_CONSTRAINTS], ...] = Field(
        default=CONSTRAINTS, description="Constraints, the columns; none is always among them.", min_length=1
    )
    world: AnyWorld = Field(
        default=VectorsConfig(pairs="changed", labelled=("all",)), description="The world whose factors are known."
    )
    weights: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(0.1, 0.3, 1.0),
        description="Weights to try, in units in which task and constraint pull equally hard.",
        min_length=1,
    )
    seeds: int = Field(default=5, description="Worlds of these dials.", ge=1, le=100)
    curve_seeds: int = Field(default=2, description="Worlds on which every weight is tried.", ge=1, le=100)
    restarts: int = Field(default=2, description="Starts of each cell; the best held-out objective counts.", ge=1)
    tolerance: float = Field(
        default=0.05,
        description="Share of what the task alone has learnt that a chosen weight may cost it, on held-out rows.",
        ge=0,
        le=1,
    )
    network: NetworkConfig = Field(default=NetworkConfig(), description="Networks and their training.")
    scoring: ScoringConfig = Field(default=ScoringConfig(), description="How cells are scored.")

    @property
    def constraints_first(self) -> tuple[str, ...]:
        """Constraints, none first."""
        return (NONE, *(name for name in dict.fromkeys(self.constraints) if name != NONE))

    @property
    def first(self) -> range:
        """Seeds of the worlds on which every weight is tried."""
        return range(min(self.seeds, self.curve_seeds))


class Outcome(Frozen):
    """What is kept of a cell."""

    cell: Cell = Field(description="Which one it is.")
    scale: float = Field(description="What its weight was multiplied with, so that both gradients are equally long.")
    start: float = Field(description="The held-out task loss before any step.")
    seconds: float = Field(description="Seconds of training and scoring.")
    score: Score = Field(description="Its numbers.")
    told: dict[str, str] = Field(
        default={}, description="What of the truth its task and its constraint are told in training, by name."
    )

    @property
    def task(self) -> float:
        """The held-out task loss."""
        return self.score.values["task"]


class Refusal(Frozen):
    """A pair that cannot be had on this world."""

    task: str = Field(description="The task.")
    constraint: str = Field(description="The constraint.")
    reason: str = Field(description="Why, with what to set.")


def refusals(config: GridConfig, spec: Spec) -> list[Refusal]:
    """Pairs of the grid that cannot be had, with reasons."""
    found = []
    for task, constraint in product(config.tasks, config.constraints_first):
        reason = incompatible(config.task(task), config.constraint(constraint), spec)
        if reason:
            found.append(Refusal(task=task, constraint=constraint, reason=reason))
    return found


def cells_of(config: GridConfig, pairs: Collection[tuple[str, str]]) -> int:
    """How many cells these pairs take, each once."""
    alone = sum(constraint == NONE for _, constraint in pairs)
    tried = alone + (len(pairs) - alone) * len(config.weights)
    rest = (config.seeds - len(config.first)) * len(pairs)
    return (len(config.first) * tried + rest) * config.restarts


class Grid:
    """A grid in a run's folder; whatever is there already is not done again."""

    def __init__(self, config: GridConfig, run: Run) -> None:
        self.config, self.run = config, run
        self._setting: Setting | None = None
        self._warm: dict[tuple[str, int, int], Any] = {}
        self._scales: dict[tuple[str, str, int], float] = {}
        first = self._of(0)
        self.factors, self.card = first.world.names, first.world.card
        self.refused = refusals(config, first.spec)
        closed = {(refusal.task, refusal.constraint) for refusal in self.refused}
        self.pairs = [pair for pair in product(config.tasks, config.constraints_first) if pair not in closed]

    def curve(self) -> Iterator[Cell]:
        """Cells that weights are chosen by: every weight on the first worlds, from every start."""
        config = self.config
        for seed in self.first:
            for task, constraint in self.pairs:
                for weight, start in product([0.0] if constraint == NONE else config.weights, range(config.restarts)):
                    yield Cell(task=task, constraint=constraint, weight=weight, seed=seed, restart=start)

    @property
    def first(self) -> range:
        """Seeds of the worlds on which every weight is tried."""
        return self.config.first

    def chosen(self) -> Iterator[Cell]:
        """Cells that count: the chosen weight of each pair on every world, from every start."""
        weights = self.weights()
        for seed, (task, constraint), start in product(
            range(self.config.seeds), self.pairs, range(self.config.restarts)
        ):
            yield Cell(task=task, constraint=constraint, weight=weights[task, constraint], seed=seed, restart=start)

    def count(self) -> int:
        """How many cells there are, each once."""
        return cells_of(self.config, self.pairs)

    def weights(self) -> dict[tuple[str, str], float]:
        """The weight of each pair; all cells of `curve` have to be there."""
        found = {}
        for task, constraint in self.pairs:
            if constraint == NONE:
                found[task, constraint] = 0.0
                continue
            alone = self.tried(task, NONE, 0.0)
            tried = {weight: self.tried(task, constraint, weight) for weight in self.config.weights}
            alike = {weight: self._alike(task, constraint, weight) for weight in tried}
            found[task, constraint] = chosen_weight(alone, tried, alike, self.config.tolerance)
        return found

    def _alike(self, task: str, constraint: str, weight: float) -> float | None:
        """How alike the starts of one weight come out, mean over the first worlds."""
        found = [self.consistency(task, constraint, weight, seed) for seed in self.first]
        return None if None in found else float(np.mean(found))  # type: ignore[arg-type]

    def kept(self, cell: Cell) -> Outcome:
        """A cell that is done."""
        return validated(Outcome, read_json(self._path(cell)), what=f"The kept cell {cell.slug}")

    def every_kept(self) -> Iterator[Outcome]:
        """All cells that are done, by name."""
        for path in sorted((self.run.path / "cells").glob("*.json")):
            yield validated(Outcome, read_json(path), what=f"The kept cell {path.stem}")

    def tried(self, task: str, constraint: str, weight: float) -> list[Outcome]:
        """The best cells of `curve` at one weight, one for each of the first worlds."""
        return [self.best(task, constraint, weight, seed) for seed in self.first]

    def done(self, cell: Cell) -> bool:
        """Whether a cell is kept."""
        return self._path(cell).is_file()

    def outcome(self, cell: Cell) -> Outcome:
        """A cell, trained where it is not there yet. Raises `Stopped` when the run is asked to stop before its end."""
        if self.done(cell):
            return self.kept(cell)
        began = time.monotonic()
        setting, config = self._of(cell.seed), self.config
        new = setting.new  # before any training: a world may refuse to draw them
        pair, scale = self.pair(cell), self.scale(cell)
        model = trained(pair, setting.spec, setting.rows, cell, config.network, scale, stop=self.run.stop_requested)
        if model is None:
            raise Stopped
        found = Outcome(
            cell=cell,
            scale=scale,
            start=losses(pair.model(setting.spec, cell.restart), pair, 0.0, setting.held_out)["task"],
            score=score(model, pair, cell.weight * scale, setting.held_out, config.scoring, setting.world, new),
            seconds=time.monotonic() - began,
            told=pair.told,
        )
        self._keep(cell, model, setting)
        write_json(self._path(cell), found.model_dump(mode="json"))
        return found

    def pair(self, cell: Cell) -> Pair:
        """Task and constraint of a cell, with their options."""
        return Pair(self.config.task(cell.task), self.config.constraint(cell.constraint))

    def scale(self, cell: Cell) -> float:
        """What makes both gradients equally long on the rows of this cell: the geometric mean over all starts.

        One for all starts, or those would be chosen by the sum of two losses weighed differently for each.
        """
        if cell.constraint == NONE:
            return 1.0
        key = (cell.task, cell.constraint, cell.seed)
        if key not in self._scales:
            found = [self._scale_from(cell.model_copy(update={"restart": at})) for at in range(self.config.restarts)]
            self._scales[key] = float(np.exp(np.mean(np.log(found))))
        return self._scales[key]

    def _scale_from(self, cell: Cell) -> float:
        """The same, from the start of this cell alone."""
        key, setting, network = (cell.task, cell.seed, cell.restart), self._of(cell.seed), self.config.network
        pair = self.pair(cell)
        if key not in self._warm:
            self._warm = {known: state for known, state in self._warm.items() if known[1] == cell.seed}
            self._warm[key] = warmed_up(pair, setting.spec, setting.rows, network, cell.restart)
        return equalising_scale(pair, setting.spec, setting.rows, network, self._warm[key], cell.restart)

    def opened(self, cell: Cell) -> tuple[LatentModel, Setting]:
        """The trained model of a cell that is done, and its world."""
        setting = self._of(cell.seed)
        model = self.pair(cell).model(setting.spec, cell.restart, cell.weight)
        model.load_state_dict(load_tensors(self._weights(cell)))
        return model.eval(), setting

    def latents(self, cell: Cell) -> Floats:
        """Held-out latents of a cell that is done, `row latent`."""
        return load_tensors(self._path(cell).with_suffix(".safetensors"))["latents"].double().numpy()

    def starts(self, task: str, constraint: str, weight: float, seed: int) -> list[Outcome]:
        """What came of each start, all of them done."""
        cell = Cell(task=task, constraint=constraint, weight=weight, seed=seed)
        return [self.kept(cell.model_copy(update={"restart": start})) for start in range(self.config.restarts)]

    def best(self, task: str, constraint: str, weight: float, seed: int) -> Outcome:
        """Of all starts the one with the lowest held-out objective."""
        return min(self.starts(task, constraint, weight, seed), key=lambda found: found.score.values["objective"])

    def consistency(self, task: str, constraint: str, weight: float, seed: int) -> float | None:
        """Mean correlation of matched latents of two starts; None where there is one start."""
        found = [self.latents(outcome.cell) for outcome in self.starts(task, constraint, weight, seed)]
        alike = [factor_recovery(first, second, shuffles=0).mcc for first, second in combinations(found, 2)]
        return float(np.mean(alike)) if alike else None

    def _of(self, seed: int) -> Setting:
        if self._setting is None or self._setting.seed != seed:
            self._setting = Setting(self.config, seed)
        return self._setting

    def _path(self, cell: Cell) -> Any:
        return self.run.path / "cells" / f"{cell.slug}.json"

    def _weights(self, cell: Cell) -> Any:
        return self.run.path / "weights" / f"{cell.slug}.safetensors"

    def _keep(self, cell: Cell, model: LatentModel, setting: Setting) -> None:
        """Latents always, to compare starts; weights too, so that the cell can be opened."""
        latents = latents_of(model, setting.held_out)[:COMPARED]
        for path in (self._path(cell), self._weights(cell)):
            path.parent.mkdir(exist_ok=True)
        save_tensors(self._path(cell).with_suffix(".safetensors"), {"latents": torch.from_numpy(latents).float()})
        save_tensors(self._weights(cell), {name: value.contiguous() for name, value in model.state_dict().items()})


def chosen_weight(
    alone: list[Outcome], tried: Mapping[float, list[Outcome]], alike: Mapping[float, float | None], tolerance: float
) -> float:
    """Without the truth: of the weights that cost the task little, the one whose starts come out most alike.

    What a task alone has learnt is its held-out loss before training less the one after; a weight may cost `tolerance`
    of that, mean over worlds; where all cost more, the lightest is taken. What is identified is found again from any
    start (Duan et al. 2020), so `alike`, the correlation of matched latents of two starts, decides among those; with
    one start there is none (None), and the heaviest is taken.
    """
    learnt = [outcome.start - outcome.task for outcome in alone]

    def cost(weight: float) -> float:
        both = zip(tried[weight], alone, learnt, strict=True)
        return float(np.mean([(one.task - bare.task) / max(whole, 1e-9) for one, bare, whole in both]))

    fair = [weight for weight in tried if cost(weight) <= tolerance]
    return max(fair, key=lambda weight: (alike[weight] or 0.0, weight)) if fair else min(tried)
