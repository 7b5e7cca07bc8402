"""The table of dictionaries: architectures trained alike, measured alike, one beside the other.

Intervals: reconstruction, activity and description length over held-out documents and seeds; losses over chunks
and seeds; dead latents and agreement over latents; absorption over letters; the two removal tests over documents,
on the first seed. A row's baseline is the flat BatchTopK dictionary's figure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.suites.captured import captured
from app.suites.dictionary_config import DictionariesConfig
from app.suites.dictionary_measures import Measured, measured_dictionaries
from app.suites.dictionary_training import trained_dictionaries
from app.suites.kept import Kept
from app.suites.rows import FEW_SEEDS, Row, of_interval
from app.suites.suite import Suite
from probes.activations.capture import CaptureConfig
from probes.files import slug
from probes.metrics.by_document import OF_TABLE
from probes.metrics.intervals import bootstrap
from probes.metrics.loss_recovered import losses_of
from probes.metrics.metric import Metric
from probes.metrics.registry import METRICS
from probes.runs import Run
from probes.subjects.loading import load_subject
from probes.subjects.text_autoregressive import TextAutoregressive

FLAT = "batch_topk"
LOSSES = (
    "cross_entropy_increase",
    "recovered_zero_ablation",
    "recovered_mean_ablation",
    "divergence_recovered_zero_ablation",
)
REMOVALS = ("spurious_removal", "spurious_removal_to_mean", "targeted_perturbation")
Floats = NDArray[np.float64]


def _mean(items: Floats) -> float:
    return float(items.mean())


class Series(NamedTuple):
    """One figure of one architecture: its items by seed, what they are, and the figure of items."""

    figure: str
    over: str
    items: list[Floats]
    of: Callable[[Floats], float] = _mean


def dictionary_table(config: DictionariesConfig, run: Run) -> Iterator[Row]:
    """Train what is not trained yet, then measure. Raises `Stopped` when the run is asked to stop."""
    store = captured(_capture(config), run)
    run.begin(steps=config.steps * len(config.architectures), message="training dictionaries")
    kept = Kept(run, store.index.subject, store.path.name)
    trained = dict(trained_dictionaries(config, store, kept, run))
    run.update(message="loading the subject")
    subject = load_subject(config.subject, of=TextAutoregressive)
    found = measured_dictionaries(config, subject, store, trained, run)
    for architecture, measured in found.items():
        yield from _rows(architecture, measured, found.get(FLAT) if architecture != FLAT else None)


def _capture(config: DictionariesConfig) -> CaptureConfig:
    """The store of this comparison; its name follows from all that decides what is in it."""
    asked: dict[str, Any] = {
        "subject": config.subject,
        "corpus": config.corpus,
        "layers": (config.depth,),
        "max_tokens": config.tokens,
        "document_chunks": config.document_chunks,
        "context": config.context,
    }
    name = f"dictionaries {config.subject} {sha256(repr(asked).encode()).hexdigest()[:10]}"
    return CaptureConfig(name=slug(name), **asked)


def _rows(architecture: str, seen: Measured, flat: Measured | None) -> Iterator[Row]:
    name = f"dictionaries.{architecture}"
    beside = {series.figure: series for series in _series(flat)} if flat else {}
    for series in _series(seen):
        yield from _spoken(name, series, beside.get(series.figure))
    if seen.removed:
        for number, figure in enumerate(REMOVALS):
            metric: Metric = METRICS.load(figure)
            for size, found in seen.removed[number].items():
                unit = f"{metric.unit.partition(',')[0]}, {size} latents removed; interval over documents, first seed"
                baseline = flat.removed[number][size].value if flat and flat.removed else None
                yield of_interval(f"{name}.{figure}.{size}", found, unit, metric.better, baseline=baseline)
    for figure, unit in (
        ("seconds", "seconds of training steps, on this machine as it was"),
        ("learning_rate", "chosen on calibration rows"),
    ):
        values = [float(np.mean([level.record.figures[figure] for level in one.levels])) for one in (seen, flat) if one]
        yield Row(
            name=f"{name}.{figure}",
            value=values[0],
            seeds=len(seen.levels),
            unit=unit,
            better="down" if figure == "seconds" else "",
            baseline=values[1] if len(values) > 1 else None,
        )


def _series(seen: Measured) -> Iterator[Series]:
    """Every figure with an interval over its own items."""
    tables = [part.table() for part in seen.documents]
    yield from (Series(figure, "documents", tables, of) for figure, of in OF_TABLE.items())
    chunks = [np.stack(losses, axis=1) for losses in seen.losses]
    for figure in LOSSES:
        metric: Metric = METRICS.load(figure)
        yield Series(figure, "chunks", chunks, lambda rows, m=metric: m.measure(losses_of(rows)))  # type: ignore[misc]
    yield Series("dead", "latents", [np.asarray(~part.fired, dtype=np.float64) for part in seen.documents])
    if seen.letters:
        yield Series("absorption", "letters", [letters.fraction.double().numpy() for letters in seen.letters])
        yield Series("full_absorption", "letters", [letters.full.double().numpy() for letters in seen.letters])
    if seen.agreement:
        yield Series("seed_agreement", "latents", seen.agreement)


def _spoken(name: str, series: Series, flat: Series | None) -> Iterator[Row]:
    """A figure, beside that of the flat dictionary, with the single values while seeds are few."""
    metric: Metric = METRICS.load(series.figure)
    seeds = len(series.items)
    unit = f"{metric.unit}; interval over {series.over}" + (" and seeds" if seeds > 1 else "")
    baseline = bootstrap(flat.items, flat.of).value if flat else None
    found = bootstrap(series.items, series.of)
    yield of_interval(f"{name}.{series.figure}", found, unit, metric.better, baseline=baseline)
    if 1 < seeds < FEW_SEEDS:
        for seed, items in enumerate(series.items):
            single = bootstrap([items], series.of)
            yield of_interval(f"{name}.{series.figure}.seed-{seed}", single, unit, metric.better)


SUITE = Suite(
    DictionariesConfig,
    dictionary_table,
    presets={
        "tiny": {
            "tokens": 40_000, "n_latents": 256, "k": 16, "steps": 120, "batch": 512, "dead_after": 10_000,
            "rates": [2e-3], "trial_steps": 40, "rows": 8192, "loss_chunks": 8, "words": 40,
        },
        "small": {
            "tokens": 160_000, "document_chunks": 8, "n_latents": 1152, "steps": 400, "batch": 1024,
            "dead_after": 20_000, "rates": [1e-3, 3e-3], "trial_steps": 100, "rows": 16_384, "loss_chunks": 24,
        },
    },
)  # fmt: skip
