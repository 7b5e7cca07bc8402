"""Dictionary rows: reconstruction, sparsity and cost of every level, over all seeds of a probe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from app.progress import counted
from app.suites.rows import Row, over_seeds
from probes.activations.store import ActivationStore
from probes.artefacts import read_manifest, resolve
from probes.hierarchy.probe import Probe
from probes.metrics.loss_recovered import loss_recovered
from probes.metrics.metric import Better, Metric
from probes.metrics.registry import METRICS
from probes.runs import Run
from probes.subjects.text_autoregressive import TextAutoregressive

ALL = ("low", "middle", "high")
Aims = dict[str, float]  # level to what the project aims at

# Measured on the probe's own held-out text when it was trained; kept in its record.
RECORDED: dict[str, Aims] = {
    "explained_variance": {"low": 0.83, "middle": 0.82, "high": 0.65},
    "explained_variance_per_dimension": {},
    "l0": {"low": 32, "middle": 32, "high": 16},
    "dead": dict.fromkeys(ALL, 0.05),
    "rare": dict.fromkeys(ALL, 0.10),
}
# Measured again here, on the evaluation's held-out text, for levels of token rows.
COSTS: dict[str, Aims] = {
    "cross_entropy_increase": {"middle": 0.12},
    "recovered_mean_ablation": {"middle": 0.97},
    "recovered_zero_ablation": {},
}
MAPS: dict[str, tuple[str, Better]] = {
    "edges": ("edges the map keeps", ""),
    "targets": ("predictable targets", ""),
    "r2_mean": ("held-out R2, mean over targets", "up"),
    "null_edges_before_filter": ("edges kept on shuffled rows, all targets", "down"),
    "null_edges": ("edges kept on shuffled rows, predictable targets", "down"),
}


def recorded_rows(refs: Sequence[str], probes: Sequence[Probe]) -> Iterator[Row]:
    """What the probes' own records say, per level and per pair of levels."""
    for level in probes[0].levels:
        name, n = level.name, int(level.record.figures.get("rows", 0)) or None
        for figure, aims in RECORDED.items():
            values = {
                probe.record.seed: probe.level(name).record.figures[figure]
                for probe in probes
                if figure in probe.level(name).record.figures
            }
            row = f"dictionary.{name}.{figure}"
            metric: Metric = METRICS.load(figure)
            aim = aims.get(name)
            yield from over_seeds(row, values, n=n, unit=metric.unit, better=metric.better, aim=aim)
    yield from _map_rows(refs, probes)


def _map_rows(refs: Sequence[str], probes: Sequence[Probe]) -> Iterator[Row]:
    figures: dict[int, dict[str, Any]] = {}
    for ref, probe in zip(refs, probes, strict=True):
        figures[probe.record.seed] = dict(read_manifest(resolve(ref, "probe")).figures)
    for low, high in probes[0].pairs():
        pair = f"{low.name}-{high.name}"
        for figure, (unit, better) in MAPS.items():
            key = f"{pair}.{figure}"
            values = {seed: float(found[key]) for seed, found in figures.items() if found.get(key) is not None}
            yield from over_seeds(f"map.{key}", values, unit=unit, better=better)


def cost_rows(
    subject: TextAutoregressive, store: ActivationStore, probes: Sequence[Probe], chunks: int, run: Run
) -> Iterator[Row]:
    """Cross-entropy with the activations replaced, on held-out chunks."""
    levels = [level for level in probes[0].levels if level.rows.span == 1]
    for level in counted(run, levels, "measuring cross-entropy, level by level"):
        found = {p.record.seed: loss_recovered(subject, store, p.level(level.name), chunks=chunks) for p in probes}
        n = int(next(iter(found.values()))["chunks"])
        for figure, aims in COSTS.items():
            metric: Metric = METRICS.load(figure)
            values = {seed: figures[figure] for seed, figures in found.items()}
            name = f"dictionary.{level.name}.{figure}"
            aim = aims.get(level.name)
            yield from over_seeds(name, values, n=n, unit=metric.unit, better=metric.better, aim=aim)
