"""Identifiability rows: how much of a known graph is found, by every proposal and by interventions, over seeds.

Every ranking of pairs is cut where F1 is best on other worlds, which are scored nowhere. The parts: edges from perfect
codes (`oracle`), from trained dictionaries (`learned`), and the whole way on a larger world with several architectures
(`pipeline`); of the first two also edges of shuffled rows (`null`), and what a bootstrap frequency and an interval are
worth (`calibration`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from app.suites.identifiability_checks import calibration_rows, coverage_rows, null_rows, seed_calibration_rows
from app.suites.identified import ORACLE, GraphsConfig, Recovery, levels_of, recoveries, sized
from app.suites.kept import Kept
from app.suites.ranked import cuts_on, difference_row, distance_rows, scored_rows
from app.suites.rows import Row, of_interval
from app.suites.suite import Suite
from app.suites.world_training import FLAT
from concept_graphs.methods import BOOTSTRAP, COACTIVATION, INTERVENTION, TESTED
from probes.autoencoders.registry import AUTOENCODERS
from probes.metrics.intervals import seeds_interval
from probes.runs import Run
from probes.worlds.layers import NAMES
from probes.worlds.registry import HIERARCHIES

Part = Literal["oracle", "learned", "pipeline", "null", "calibration"]
Size = Literal["24/10/4", "32/12/5", "48/20/8"]
ANOTHER = 1000  # from a dictionary's training seed to the next one's of the same world
AIMS = {
    "oracle": {f".{BOOTSTRAP}.f1": 0.85, f".{BOOTSTRAP}.ap": 0.95},
    "learned": {f".{INTERVENTION}.ap": 0.75},
    "pipeline": {f".{BOOTSTRAP}{TESTED}.f1": 0.85},
}


class IdentifiabilityConfig(GraphsConfig):
    """Which parts, on which worlds, and how much of each."""

    parts: tuple[Part, ...] = Field(
        default=("oracle", "learned", "null", "calibration", "pipeline"), description="What is measured.", min_length=1
    )
    worlds: tuple[Annotated[str, HIERARCHIES], ...] = Field(
        default=(HIERARCHIES.first,), description="Worlds: composed from below, or generated from above.", min_length=1
    )
    size: Size = Field(default="24/10/4", description="Concepts per level, of perfect and of learned codes.")
    pipeline_size: Size = Field(default="48/20/8", description="Concepts per level, of the whole way.")
    architectures: tuple[Annotated[str, AUTOENCODERS], ...] = Field(
        default=(FLAT, "topk", "matryoshka"), description="Dictionaries compared on the whole way.", min_length=1
    )
    dictionary_seeds: int = Field(
        default=3, description="Dictionaries of each world that a frequency is also averaged over; 1 for none.", ge=1
    )
    other_worlds: int = Field(default=3, description="Worlds that cuts are chosen on.", ge=1, le=100)
    tests: float = Field(default=4.0, description="Pairs per target that a proposal may have tested.", gt=0)
    draws: int = Field(default=10, description="Samples that intervals are drawn from, for their coverage.", ge=2)
    pipeline_seeds: int = Field(default=5, description="Seeds of the whole way.", ge=1, le=100)
    pipeline_others: int = Field(default=2, description="Worlds that its cuts are chosen on.", ge=1, le=100)


def identifiability_rows(config: IdentifiabilityConfig, run: Run) -> Iterator[Row]:
    """Rows of every part. Raises `Stopped` when the run is asked to stop; dictionaries are kept."""
    run.begin(steps=_steps(config), message="making worlds")
    kept = Kept(run, "module/worlds", "")
    for world in config.worlds:
        for part, architecture in ((ORACLE, ORACLE), ("learned", FLAT)):
            if part in config.parts:
                stage = f"{part}.{world}"
                found, others = _recoveries(config, stage, world, config.size, architecture, kept, run)
                yield from _stage_rows(config, part, stage, found, others)
                if "calibration" in config.parts:
                    yield from _worth_rows(config, stage, world, found, architecture, kept, run)
        if "pipeline" in config.parts:
            for architecture in config.architectures:
                stage = f"pipeline.{world}.{architecture}"
                found, others = _recoveries(config, stage, world, config.pipeline_size, architecture, kept, run)
                yield from _graph_rows(config, "pipeline", stage, found, others)
                yield from concept_rows(stage, found)


def _steps(config: IdentifiabilityConfig) -> int:
    small = sum(part in config.parts for part in (ORACLE, "learned")) * (config.seeds + config.other_worlds)
    large = len(config.architectures) * (config.pipeline_seeds + config.pipeline_others)
    return len(config.worlds) * (small + ("pipeline" in config.parts) * large)


def _recoveries(
    config: IdentifiabilityConfig, stage: str, world: str, size: str, architecture: str, kept: Kept, run: Run
) -> tuple[list[Recovery], list[Recovery]]:
    """(scored seeds, other worlds to choose cuts on)."""
    whole = stage.startswith("pipeline")
    counts = (config.pipeline_seeds, config.pipeline_others) if whole else (config.seeds, config.other_worlds)
    return recoveries(config, stage, sized(world, size), architecture, counts, kept, run)


def _stage_rows(
    config: IdentifiabilityConfig, part: str, stage: str, found: Sequence[Recovery], others: Sequence[Recovery]
) -> Iterator[Row]:
    yield from _graph_rows(config, part, stage, found, others)
    if part != ORACLE:
        yield from concept_rows(stage, found)
    if "null" in config.parts:
        yield from null_rows(stage, config, found, cuts_on(others, config.tests), config.tests)


def _worth_rows(
    config: IdentifiabilityConfig,
    stage: str,
    world: str,
    found: Sequence[Recovery],
    architecture: str,
    kept: Kept,
    run: Run,
) -> Iterator[Row]:
    """What frequencies and intervals are worth."""
    yield from calibration_rows(stage, found, config.fits)
    setting = sized(world, config.size)
    cases = [setting.case(config, seed) for seed in range(config.seeds)]
    if architecture == ORACLE:
        yield from coverage_rows(stage, config, cases[0], None, config.draws)
        return
    sets = [
        [
            levels_of(config, setting.label, architecture, case, seed + more * ANOTHER, kept, run)
            for more in range(config.dictionary_seeds)
        ]
        for seed, case in enumerate(cases)
    ]
    if config.dictionary_seeds > 1:
        yield from seed_calibration_rows(stage, config, found, cases, sets)
    yield from coverage_rows(stage, config, cases[0], sets[0][0], config.draws)


def _graph_rows(
    config: IdentifiabilityConfig, part: str, stage: str, found: Sequence[Recovery], others: Sequence[Recovery]
) -> Iterator[Row]:
    cuts, tests = cuts_on(others, config.tests), config.tests
    yield from scored_rows(stage, found, cuts, tests, AIMS[part], COACTIVATION)
    yield from distance_rows(stage, found, cuts, tests, (BOOTSTRAP, BOOTSTRAP + TESTED, INTERVENTION))
    for at, pair in enumerate(found[0].pairs):
        name = f"{stage}.{pair.name}"
        if part == ORACLE:
            both = (BOOTSTRAP, COACTIVATION)
            aim = 0.05 if at == 0 else None
            yield from difference_row(f"{name}.gates_over_coactivation", found, at, both, "f1", cuts, tests, aim)
        else:
            both = (INTERVENTION, BOOTSTRAP)
            yield from difference_row(f"{name}.intervention_over_frequency", found, at, both, "ap", cuts, tests, 0.0)


ABSORBED_UNIT = "share of a whole's rows with a part in which its latent is off"
GAP_UNIT = "latent on when the whole is alone, minus when a part is there"
CONCEPTS: dict[str, tuple[Callable[[Recovery], np.ndarray], str, Literal["up", "down"], float | None]] = {
    "mcc": (lambda one: one.correlation, "mean |Pearson|, matched on other rows", "up", 0.9),
    "level_accuracy": (lambda one: one.hits.astype(np.float64), "share of concepts on their level", "up", 0.9),
    "twins_block_r2": (lambda one: one.blocks, "mean R² of twin classes, held-out ridge", "up", 0.9),
    "absorbed": (
        lambda one: one.absorbed,
        "share of a whole's rows with a part in which its latent is off",
        "down",
        None,
    ),
    "absorption_gap": (
        lambda one: one.gap,
        "latent on when the whole is alone, minus when a part is there",
        "down",
        0.05,
    ),
}


def concept_rows(stage: str, found: Sequence[Recovery]) -> Iterator[Row]:
    """How well learned latents stand for concepts: as a whole, then level by level."""
    over = "seeds" if len(found) > 1 else "concepts"
    for figure, (of, unit, better, aim) in CONCEPTS.items():
        items = [values[np.isfinite(values)] for values in map(of, found)]
        items = [values for values in items if len(values)]
        if items:  # in a world of selection no whole comes without its parts: there is no gap
            unit_and = f"{unit}; interval over {over}"
            yield of_interval(f"{stage}.{figure}", seeds_interval(items), unit_and, better, aim=aim)
    for at, level in enumerate(NAMES):
        items = [one.correlation[one.level == at] for one in found]
        unit = f"mean |Pearson|, matched on other rows; interval over {over}"
        yield of_interval(f"{stage}.{level}.mcc", seeds_interval(items), unit, "up")


FEW_STEPS = {"steps": 160, "batch": 512, "learning_rate": 0.05, "clip_norm": 10.0, "checkpoint_every": 10**6}

SUITE = Suite(
    IdentifiabilityConfig,
    identifiability_rows,
    presets={
        "tiny": {
            "parts": ["oracle", "learned", "null", "calibration"],
            "seeds": 1,
            "other_worlds": 1,
            "rows": 2048,
            "map_rows": 2048,
            "steps": 200,
            "rates": [1e-2],
            "maps": {"minimum_rows": 20, "most_frequent": 1.0, "optimiser": FEW_STEPS},
            "fits": 2,
            "draws": 2,
            "dictionary_seeds": 1,
            "chunks": 24,
        },
        "small": {"seeds": 3, "other_worlds": 2, "pipeline_seeds": 2, "pipeline_others": 1, "fits": 4, "rates": [3e-3]},
    },
)
