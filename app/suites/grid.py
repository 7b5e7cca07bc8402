"""Grid rows: components beside information, for every task under every constraint, and whether they interact."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from app.suites.rows import Row, of_interval
from app.suites.suite import Suite
from probes.errors import Stopped
from probes.files import write_json
from probes.metrics.interaction import interaction
from probes.metrics.intervals import Interval, seeds_interval
from probes.metrics.metric import Better
from probes.representations.cell import NONE, Cell
from probes.representations.grid import Grid, GridConfig, Outcome
from probes.runs import Run

TABLE, FOUND = "table.csv", "grid.json"
MEASURES: Mapping[str, tuple[str, Better]] = {
    "mcc": ("mean |Pearson| of factors with their own latents", "up"),
    "mcc_spearman": ("mean |Spearman| of factors with their own latents", "up"),
    "r2": ("held-out R² of factors by a line from all latents", "up"),
    "r2_kernel": ("held-out R² of factors by a kernel from all latents", "up"),
    "mcc_new": ("the same latents' mean |Pearson| on combinations of factors that training never saw", "up"),
    "r2_new": ("R² of the same line on combinations of factors that training never saw", "up"),
    "dci_disentanglement": ("each latent for one factor only", "up"),
    "dci_completeness": ("each factor in one latent only", "up"),
    "mig": ("gap of mutual information, in shares of entropy", "up"),
    "sap": ("gap of squared correlations", "up"),
    "irs": ("how little a latent strays while its factor is held, as a share of how far it ever strays", "up"),
    "block_r2": ("held-out R² of a block's factors by a line from its own latents, mean over blocks", "up"),
    "block_leak": (
        "the same of the other blocks' factors from these latents: what should not be there",
        "down",
    ),
    "block_leak_floor": ("the same leak where latents are the factors, which cause each other", ""),
    "published_mcc": ("CausalVerse's own: matched on the rows it is scored on, spare factors left out", "up"),
    "published_r2": ("CausalVerse's own: one kernel and penalty for all factors, rows in the order they come", "up"),
    "published_mcc_video": ("CausalVerse's own for videos: the four factors that fare best", "up"),
    "published_r2_video": ("CausalVerse's own for videos: the best iteration on the rows it is scored on", "up"),
    "task": ("held-out loss of the task", "down"),
}
COMPARED = ("mcc", "r2")  # with the task alone, and in the tests of interaction

Values = dict[tuple[str, str], dict[int, float]]  # (task, constraint) to seed to number


def grid_rows(config: GridConfig, run: Run) -> Iterator[Row]:
    """Train what is not there yet, then say what was found. Raises `Stopped` when the run is asked to stop."""
    run.begin(message="making a world")
    grid = Grid(config, run)
    run.begin(steps=grid.count(), message="every weight, on the first worlds")
    done = _trained(grid, run, grid.curve(), 0)
    run.update(message="the chosen weights, on all worlds")
    cells = list(grid.chosen())
    _trained(grid, run, (cell for cell in cells if not grid.done(cell)), done)
    best = {
        (task, constraint): [grid.best(task, constraint, weight, seed) for seed in range(config.seeds)]
        for (task, constraint), weight in grid.weights().items()
    }
    (run.path / TABLE).write_text(as_table(grid, best))
    rows = [*_rows(grid, best)]
    write_json(run.path / FOUND, summary(config, grid, rows, best))
    yield from rows


def _trained(grid: Grid, run: Run, cells: Iterable[Cell], done: int) -> int:
    """Have all these cells; how many are done after it."""
    for cell in cells:
        if run.stop_requested():
            raise Stopped
        grid.outcome(cell)
        done += 1
        run.progress(done)
    return done


def _rows(grid: Grid, best: Mapping[tuple[str, str], Sequence[Outcome]]) -> Iterator[Row]:
    config = grid.config
    values = {name: _values(best, name) for name in MEASURES}
    for (task, constraint), outcomes in best.items():
        stage = f"{task}.{constraint}"
        told = said_of(outcomes[0].told)
        chance = float(np.mean([outcome.score.values["mcc_chance"] for outcome in outcomes]))
        for name, (unit, better) in MEASURES.items():
            if found := values[name].get((task, constraint)):
                baseline = chance if name == "mcc" else None
                yield from _over_worlds(f"{stage}.{name}", found, unit, better, baseline, told)
        if constraint != NONE:
            for name in COMPARED:
                alone, beside = (values[name][task, other] for other in (NONE, constraint))
                gained = {seed: beside[seed] - alone[seed] for seed in beside}
                said = "beside the task alone, world by world"
                yield from _over_worlds(f"{stage}.{name}_gained", gained, said, "up", note=told)
            yield from _about(grid, task, constraint, outcomes)
        alike = [grid.consistency(task, constraint, outcomes[0].cell.weight, seed) for seed in range(config.seeds)]
        if known := {seed: value for seed, value in enumerate(alike) if value is not None}:
            said = "mean |Pearson| of matched latents of two starts"
            yield from _over_worlds(f"{stage}.consistency", known, said, "up")
            yield from _start_rows(grid, task, constraint, outcomes)
    for name in COMPARED:
        yield from interaction_rows(name, values[name], config)


def _about(grid: Grid, task: str, constraint: str, outcomes: Sequence[Outcome]) -> Iterator[Row]:
    """The chosen weight, what `certify` says, and both numbers along the weights that were tried."""
    stage, weight = f"{task}.{constraint}", outcomes[0].cell.weight
    said = "of the constraint, where 1 pulls as hard as the task"
    yield Row(name=f"{stage}.weight", value=weight, unit=said, seeds=len(outcomes))
    for name in outcomes[0].score.values:
        if name.startswith("certify."):
            certified = {outcome.cell.seed: outcome.score.values[name] for outcome in outcomes}
            yield from _over_worlds(f"{stage}.{name}", certified, "measured on held-out rows", "")
    for tried, measure in product(grid.config.weights, COMPARED):
        kept = grid.tried(task, constraint, tried)
        found = {outcome.cell.seed: outcome.score.values[measure] for outcome in kept}
        yield Row(
            name=f"{stage}.at.{tried:g}.{measure}",
            value=float(np.mean(list(found.values()))),
            seeds=len(found),
            unit=MEASURES[measure][0],
            better="up",
        )


def _start_rows(grid: Grid, task: str, constraint: str, outcomes: Sequence[Outcome]) -> Iterator[Row]:
    """Whether choosing a start without the truth pays: both numbers of the one that counts, beside the mean of all."""
    for name in COMPARED:
        gained = {}
        for counts in outcomes:
            cell = counts.cell
            every = grid.starts(task, constraint, cell.weight, cell.seed)
            mean = float(np.mean([one.score.values[name] for one in every]))
            gained[cell.seed] = counts.score.values[name] - mean
        said = "of the start that was chosen without the truth, beside the mean of all starts"
        yield from _over_worlds(f"{task}.{constraint}.{name}_by_choice", gained, said, "up")


def interaction_rows(name: str, values: Values, config: GridConfig) -> Iterator[Row]:
    """Shares of the variance of a number, over the tasks and constraints whose pairs were all had."""
    tasks = [task for task in config.tasks if (task, NONE) in values]
    constraints = [c for c in config.constraints_first if all((task, c) in values for task in tasks)]
    if min(len(tasks), len(constraints), config.seeds) < 2:
        return
    table = np.array([[[values[task, c][seed] for seed in range(config.seeds)] for c in constraints] for task in tasks])
    found = interaction(table)
    said = f"{len(tasks)} tasks x {len(constraints)} constraints x {config.seeds} worlds"
    counts: Any = {"n": table.size, "seeds": config.seeds, "note": said}
    shares = {"task": found.rows, "constraint": found.columns, "world": found.worlds, "left": found.residual}
    for part, share in shares.items():
        yield Row(name=f"variance.{name}.{part}", value=share, unit="share", **counts)
    unit = "share; the baseline is the 95 % quantile of chance"
    yield Row(
        name=f"variance.{name}.interaction", value=found.interaction, baseline=found.chance_high, unit=unit, **counts
    )
    yield Row(name=f"variance.{name}.p", value=found.p, unit="of the interaction", better="down", **counts)


def said_of(told: Mapping[str, str]) -> str:
    """What of the truth parts are told in training, in words; empty where nothing."""
    return "; ".join(f"{name.replace('_', ' ')} is told {what}" for name, what in told.items())


def _values(best: Mapping[tuple[str, str], Sequence[Outcome]], name: str) -> Values:
    return {
        pair: {outcome.cell.seed: outcome.score.values[name] for outcome in outcomes if name in outcome.score.values}
        for pair, outcomes in best.items()
    }


def _over_worlds(
    name: str,
    found: Mapping[int, float],
    unit: str,
    better: Better,
    baseline: float | None = None,
    note: str = "",
) -> Iterator[Row]:
    """The mean over worlds with its interval; single values too while worlds are few."""
    yield of_interval(name, worlds_interval(list(found.values())), unit, better, baseline=baseline, note=note)
    if 1 < len(found) < 5:
        for seed, value in found.items():
            yield Row(name=f"{name}.seed-{seed}", value=value, unit=unit, better=better)


def worlds_interval(values: Sequence[float]) -> Interval:
    """Each world is one item: the interval is over worlds."""
    return seeds_interval([[value] for value in values])


def as_table(grid: Grid, best: Mapping[tuple[str, str], Sequence[Outcome]]) -> str:
    """One line per cell that is kept, as comma-separated values; `counts` says which were chosen."""
    chosen = {outcome.cell.slug for outcomes in best.values() for outcome in outcomes}
    kept = list(grid.every_kept())
    names = sorted({name for outcome in kept for name in outcome.score.values})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    about = ["task", "constraint", "weight", "seed", "restart", "counts", "scale", "seconds", "told"]
    writer.writerow([*about, *(f"{name}_loss" if name in about else name for name in names)])
    for outcome in kept:
        cell = outcome.cell
        named = [cell.task, cell.constraint, cell.weight, cell.seed, cell.restart, int(cell.slug in chosen)]
        numbers = [f"{outcome.score.values[name]:.6g}" if name in outcome.score.values else "" for name in names]
        writer.writerow([*named, f"{outcome.scale:.6g}", f"{outcome.seconds:.1f}", said_of(outcome.told), *numbers])
    return out.getvalue()


def summary(
    config: GridConfig, grid: Grid, rows: Sequence[Row], best: Mapping[tuple[str, str], Sequence[Outcome]]
) -> dict[str, object]:
    """What the Grid page draws: the axes, the world's card, refused pairs, rows by name, and why a pair lacks one."""
    left_out = {".".join(pair): outcomes[0].score.left_out for pair, outcomes in best.items()}
    cells = [Cell(task=task, constraint=constraint) for task, constraint in grid.pairs]
    return {
        "tasks": list(config.tasks),
        "constraints": list(config.constraints_first),
        "world": config.world.kind,
        "card": dict(grid.card),
        "factors": list(grid.factors),
        "left_out": {pair: reasons for pair, reasons in left_out.items() if reasons},
        "told": {name: what for cell in cells for name, what in grid.pair(cell).told.items()},
        "refused": [refusal.model_dump() for refusal in grid.refused],
        "rows": [row.model_dump(mode="json") for row in rows],
    }


TINY_NETWORK = {"width": 24, "rows": 1500, "scale_after": 20, "optimiser": {"steps": 150}}

SUITE = Suite(
    GridConfig,
    grid_rows,
    presets={
        "tiny": {
            "tasks": ("reconstruction", "infonce", "supervised"),
            "constraints": (NONE, "kl", "conditional_prior"),
            "weights": (0.3,),
            "seeds": 2,
            "curve_seeds": 1,
            "restarts": 1,
            "network": TINY_NETWORK,
            "scoring": {"rows": 600, "kernel_rows": 0, "tree_rows": 0},
        },
        "small": {"seeds": 3, "restarts": 1, "curve_seeds": 1},
        "long": {
            "tasks": ("reconstruction", "infonce", "supervised"),
            "constraints": (NONE, "kl", "conditional_prior", "minimal_change"),
            "weights": (0.3, 1.0),
            "network": {"optimiser": {"steps": 6000}},
        },
        "wrong": {
            "world": {"kind": "vectors", "dependence": "chain", "interventions": 0.5},
            "tasks": ("reconstruction", "denoising"),
            "constraints": (NONE, "kl", "conditional_prior", "structural_prior", "wrong_graph"),
        },
        "pictures": {
            "world": {"kind": "ball_room", "pairs": "changed", "labelled": ("all",)},
            "tasks": ("reconstruction", "infonce", "supervised"),
            "constraints": (NONE, "kl", "conditional_prior", "minimal_change"),
            "weights": (0.1, 0.3),
            "seeds": 3,
            "curve_seeds": 1,
            "restarts": 1,
            "network": {"rows": 6000, "optimiser": {"steps": 800, "batch": 64}},
            "scoring": {"rows": 2000},
        },
    },
    leaves=(TABLE, FOUND),
)
