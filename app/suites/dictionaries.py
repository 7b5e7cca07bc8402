"""Dictionary rows: reconstruction, sparsity and cost of every level, over all seeds of a probe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from app.suites.rows import Better, Row, over_seeds
from probes.activations.store import ActivationStore
from probes.artefacts import read_manifest, resolve
from probes.hierarchy.probe import Probe
from probes.metrics.loss_recovered import loss_recovered
from probes.subjects.text_autoregressive import TextAutoregressive

Figure = tuple[str, Better, dict[str, float]]  # unit or convention, which way is better, aim per level
ALL = ("low", "middle", "high")

# Measured on the probe's own held-out text when it was trained; kept in its record.
RECORDED: dict[str, Figure] = {
    "explained_variance": ("centred", "up", {"low": 0.83, "middle": 0.82, "high": 0.65}),
    "explained_variance_per_dimension": ("mean over dimensions", "up", {}),
    "l0": ("active latents per row, by threshold", "", {"low": 32, "middle": 32, "high": 16}),
    "dead": ("share that never fired", "down", dict.fromkeys(ALL, 0.05)),
    "rare": ("share with frequency below 1e-4", "down", dict.fromkeys(ALL, 0.10)),
}
# Measured again here, on the evaluation's held-out text, for levels of token rows.
COSTS: dict[str, Figure] = {
    "cross_entropy_increase": ("nats per token", "down", {"middle": 0.12}),
    "recovered_mean_ablation": ("share of the mean-ablation loss", "up", {"middle": 0.97}),
    "recovered_zero_ablation": ("share of the zero-ablation loss", "up", {}),
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
        for figure, (unit, better, aims) in RECORDED.items():
            values = {
                probe.record.seed: probe.level(name).record.figures[figure]
                for probe in probes
                if figure in probe.level(name).record.figures
            }
            row = f"dictionary.{name}.{figure}"
            yield from over_seeds(row, values, n=n, unit=unit, better=better, aim=aims.get(name))
    yield from _map_rows(refs, probes)


def _map_rows(refs: Sequence[str], probes: Sequence[Probe]) -> Iterator[Row]:
    figures: dict[int, dict[str, Any]] = {}
    for ref, probe in zip(refs, probes, strict=True):
        figures[probe.record.seed] = dict(read_manifest(resolve(ref, "probe")).figures)
    for low, high in probes[0].pairs():
        pair = f"{low.name}-{high.name}"
        for figure, (unit, better) in MAPS.items():
            key = f"{pair}.{figure}"
            values = {
                seed: float(found[key]) for seed, found in figures.items() if found.get(key) is not None
            }
            yield from over_seeds(f"map.{key}", values, unit=unit, better=better)


def cost_rows(
    subject: TextAutoregressive, store: ActivationStore, probes: Sequence[Probe], chunks: int
) -> Iterator[Row]:
    """Cross-entropy with the activations replaced, on held-out chunks."""
    for level in probes[0].levels:
        if level.rows.span != 1:
            continue
        found = {
            p.record.seed: loss_recovered(subject, store, p.level(level.name), chunks=chunks) for p in probes
        }
        n = int(next(iter(found.values()))["chunks"])
        for figure, (unit, better, aims) in COSTS.items():
            values = {seed: figures[figure] for seed, figures in found.items()}
            name = f"dictionary.{level.name}.{figure}"
            yield from over_seeds(name, values, n=n, unit=unit, better=better, aim=aims.get(level.name))
