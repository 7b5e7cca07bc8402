"""Before a grid is trained: which pairs can be had, how many cells that takes, and about how long."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

from probes.representations.cell import NONE, Cell
from probes.representations.grid import GridConfig, Refusal, cells_of, refusals
from probes.representations.rows import GridRows
from probes.representations.scoring import score
from probes.representations.setting import holds_out, world_of
from probes.representations.spec import Spec, spec_of
from probes.representations.training import Pair, trained
from probes.worlds.factors import FactorWorld

STEPS = 6  # that a pair is trained for to measure it
LOOKED_AT = 400  # rows that drawing and scoring are measured on
PATIENCE = 6.0  # seconds after which no further pair is measured


class Plan(NamedTuple):
    """Pairs that will be trained, those that cannot be had, the number of cells, and what of the truth tasks and
    constraints would be told in training, by name."""

    pairs: list[tuple[str, str]]
    refused: list[Refusal]
    cells: int
    told: dict[str, str]


class Cost(NamedTuple):
    """Seconds of a whole grid, and how many of its pairs were measured for that."""

    seconds: float
    measured: int


def plan_of(config: GridConfig) -> Plan:
    """Nothing is trained, and only a few rows are drawn. Raises `WorkbenchError` where the world cannot be made."""
    _, spec = _first_world(config)
    refused = refusals(config, spec)
    closed = {(refusal.task, refusal.constraint) for refusal in refused}
    pairs = [pair for pair in product(config.tasks, config.constraints_first) if pair not in closed]
    told = {name: what for pair in pairs for name, what in _pair(config, *pair).told.items()}
    return Plan(pairs, refused, cells_of(config, pairs), told)


def measured_cost(config: GridConfig, plan: Plan, patience: float = PATIENCE) -> Cost:
    """A few steps of as many pairs as `patience` allows, one scoring and one drawing, times what the grid asks for."""
    world, spec = _first_world(config)
    few = min(LOOKED_AT, config.network.rows)
    drawing, rows = _timed(lambda: GridRows(world.draw(few, 1)))
    held_out = GridRows(world.draw(min(LOOKED_AT, config.scoring.rows), 2, part="test"))
    first = _pair(config, *plan.pairs[0])
    scoring, _ = _timed(lambda: score(first.model(spec, 0), first, 0.0, held_out, config.scoring, world))
    _steps(config, plan.pairs[0], spec, rows)  # the first steps of a process also load code
    began, found = time.monotonic(), []
    for pair in _spread(plan.pairs):
        found.append(_steps(config, pair, spec, rows))
        if time.monotonic() - began > patience:
            break
    cell = sum(found) / len(found) + scoring * config.scoring.rows / len(held_out)
    return Cost(plan.cells * cell + rows_drawn(config) * drawing / few, len(found))


def rows_drawn(config: GridConfig) -> int:
    """How many rows a whole grid draws: to train and to score, in both of its passes, from every world; held-out
    combinations are scored on rows of their own."""
    scored = config.scoring.rows * (2 if holds_out(config.world) else 1)
    return 2 * config.seeds * (config.network.rows + scored)


def _first_world(config: GridConfig) -> tuple[FactorWorld, Spec]:
    world = world_of(config.world, 0)
    return world, spec_of(world, config.network.latents, config.network.width)


def _pair(config: GridConfig, task: str, constraint: str) -> Pair:
    return Pair(config.task(task), config.constraint(constraint))


def _steps(config: GridConfig, pair: tuple[str, str], spec: Spec, rows: GridRows) -> float:
    """Seconds that the training of a cell takes, told from a few steps; a constrained one is first warmed up."""
    task, constraint = pair
    weight = 0.0 if constraint == NONE else config.weights[0]
    cell = Cell(task=task, constraint=constraint, weight=weight)
    optimiser = config.network.optimiser
    steps = min(STEPS, optimiser.steps)
    network = config.network.model_copy(update={"optimiser": optimiser.model_copy(update={"steps": steps})})
    taken, _ = _timed(lambda: trained(_pair(config, *pair), spec, rows, cell, network, 1.0))
    wanted = optimiser.steps + (0 if constraint == NONE else config.network.scale_after)
    return taken / steps * wanted


def _spread(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """All pairs, in an order whose beginning already holds different tasks and constraints."""
    stride = next(n for n in range(max(2, int(len(pairs) ** 0.5)), len(pairs) + 3) if len(pairs) % n or n > len(pairs))
    return [pairs[at] for start in range(stride) for at in range(start, len(pairs), stride)]


def _timed(act: Callable[[], Any]) -> tuple[float, Any]:
    began = time.monotonic()
    found = act()
    return time.monotonic() - began, found
