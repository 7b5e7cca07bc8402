"""World rows: how much of a known truth each architecture finds, over seeds, beside the flat dictionary.

The strict hierarchy is where nesting should pay, the loose one where a flat dictionary should win; both are said.
Intervals are over seeds, each with a world of its own; of one seed they are over its concepts (or wholes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from app.suites.kept import Kept
from app.suites.rows import FEW_SEEDS, Row, of_interval
from app.suites.suite import Suite
from app.suites.world_training import FLAT, NESTED, Found, WorldsConfig, case_of, found_in
from probes.metrics.intervals import seeds_interval
from probes.metrics.metric import Metric
from probes.metrics.recovery import Recovered
from probes.metrics.registry import METRICS
from probes.runs import Run

MCC_AIM = {"mixture": 0.95}
RATIO_AIM = {"tree": 0.6}
Floats = NDArray[np.float64]


def world_rows(config: WorldsConfig, run: Run) -> Iterator[Row]:
    """Rows of every world. Raises `Stopped` when the run is asked to stop."""
    total = len(config.worlds) * len(config.architectures) * config.seeds
    run.begin(steps=total, message="making worlds")
    done = 0
    for name in config.worlds:
        kept = Kept(run, f"module/{name}", "")
        cases = [case_of(name, config, seed) for seed in range(config.seeds)]
        for at, view in enumerate(cases[0].world.views):
            label = name if len(cases[0].world.views) == 1 else f"{name}.{view.name}"
            found: dict[str, list[Found]] = {}
            for architecture in config.architectures:
                run.update(message=f"{label}: {architecture}")
                found[architecture] = [
                    found_in(config, label, architecture, at, cases, seed, kept, run) for seed in range(config.seeds)
                ]
                done += config.seeds if at == 0 else 0
                run.progress(done)
            yield from _rows(label, name, found)


CONCEPTS: dict[str, Callable[[Recovered], Floats]] = {  # figures that are means over concepts
    "mcc": lambda seen: seen.correlation,
    "mcc_decoder": lambda seen: seen.cosine,
    "f1": lambda seen: seen.f1,
    "absorbed": lambda seen: seen.absorbed,
    "absorption_gap": lambda seen: seen.absorption_gap,
}
WHOLES = ("absorbed", "absorption_gap")
SHOWN = ("explained_variance", "l0", "length_kept")


def _rows(label: str, world: str, found: dict[str, list[Found]]) -> Iterator[Row]:
    flat = found.get(FLAT)
    for architecture, seeds in found.items():
        name = f"worlds.{label}.{architecture}"
        for figure, of in CONCEPTS.items():
            items = [_finite(of(seed.recovered)) for seed in seeds]
            if not all(map(len, items)):
                continue
            metric: Metric = METRICS.load(figure)
            baseline = None
            if flat is not None and architecture != FLAT:
                baseline = float(np.mean([_finite(of(seed.recovered)).mean() for seed in flat]))
            aim = MCC_AIM.get(world) if figure == "mcc" else None
            over = "seeds" if len(seeds) > 1 else "wholes" if figure in WHOLES else "concepts"
            unit = f"{metric.unit}; interval over {over}"
            yield from _interval(f"{name}.{figure}", items, unit, metric, baseline, aim)
        for figure in SHOWN:
            metric = METRICS.load(figure)
            values = [np.array([seed.figures[figure]]) for seed in seeds]
            yield from _interval(f"{name}.{figure}", values, f"{metric.unit}; interval over seeds", metric, None, None)
        yield Row(
            name=f"{name}.seconds",
            value=float(np.mean([seed.figures["seconds"] for seed in seeds])),
            seeds=len(seeds),
            unit="seconds of training, this machine as it was",
            better="down",
        )
        yield Row(
            name=f"{name}.learning_rate", value=seeds[0].figures["learning_rate"], unit="chosen on calibration rows"
        )
    if flat is not None:
        for architecture in (name for name in NESTED if name in found):
            yield from _against(label, world, architecture, found[architecture], flat)


def _against(label: str, world: str, architecture: str, nested: list[Found], flat: list[Found]) -> Iterator[Row]:
    """Nested against flat on the same worlds: absorption as a ratio, correlation as a difference."""
    pairs = list(zip(nested, flat, strict=True))
    name = f"worlds.{label}.{architecture}_over_{FLAT}"
    absorbed = np.array(
        [[a.recovered.absorbed.mean(), b.recovered.absorbed.mean()] for a, b in pairs if b.recovered.absorbed.size]
    )
    if len(absorbed):
        # Of means over seeds: a seed in which the flat dictionary absorbs nothing has no ratio of its own. What each
        # seed adds to the ratio is what it has beyond that share of the flat one's, in shares of the flat one's mean.
        mine, flats = absorbed.T
        base = max(float(flats.mean()), 1e-9)
        share = float(mine.mean()) / base
        ratio = seeds_interval([[share + beyond] for beyond in (mine - share * flats) / base])
        unit = "ratio of the mean shares absorbed; interval over seeds"
        aim = RATIO_AIM.get(world)
        yield of_interval(f"{name}.absorbed_ratio", ratio, unit, "down", aim=aim)
    both = [a.recovered.correlation - b.recovered.correlation for a, b in pairs]
    yield of_interval(f"{name}.mcc_gain", seeds_interval(both), "difference of |Pearson|, paired by concept", "up")
    explained = [np.array([a.figures["explained_variance"] - b.figures["explained_variance"]]) for a, b in pairs]
    yield of_interval(f"{name}.explained_variance_gain", seeds_interval(explained), "difference, centred", "up")


def _interval(
    name: str, items: list[Floats], unit: str, metric: Metric, baseline: float | None, aim: float | None
) -> Iterator[Row]:
    row = of_interval(name, seeds_interval(items), unit, metric.better, baseline=baseline, aim=aim)
    yield row
    if 1 < len(items) < FEW_SEEDS:
        for seed, values in enumerate(items):
            single = {"name": f"{name}.seed-{seed}", "value": float(values.mean()), "low": None, "high": None}
            yield row.model_copy(update={**single, "n": len(values), "seeds": 1})


def _finite(values: Floats) -> Floats:
    return values[np.isfinite(values)]


SUITE = Suite(
    WorldsConfig,
    world_rows,
    presets={
        "tiny": {"worlds": ["mixture", "tree"], "seeds": 2, "rows": 4096, "steps": 200, "rates": [3e-3]},
        "small": {"seeds": 3, "rows": 12_000, "steps": 600},
    },
)
