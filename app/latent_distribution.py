"""How strongly a concept's latent fires and what its training was like, in words for people; needs no torch."""

from __future__ import annotations

from typing import Any

from concept_graphs.graph import ConceptGraph
from concept_graphs.tables import Node
from probes.artefacts import resolve
from probes.errors import WorkbenchError
from probes.files import read_json
from probes.hierarchy.measured import QUANTILES, read_latent
from probes.representations.measured import read_latents

WHERE = {"train": "training", "held_out": "held-out"}


def distribution(graph: ConceptGraph, node: Node) -> dict[str, Any] | None:
    """What the graph's probe knows of a concept's latent; None without the probe, or where it was not measured.

    `bars`: how many values lie in each of equal bins from 0, or from `smallest`, to `largest`; `quantiles`: `[share,
    value]`.
    """
    if graph.meta.representation:
        return _of_representation(graph, node)
    try:
        folder = resolve(graph.meta.probe, "probe", names_only=True)
        levels = read_json(folder / "probe.json")["levels"]
        record = next(level for level in levels if level["name"] == node.level)
    except (WorkbenchError, OSError, KeyError, TypeError, StopIteration):
        return None
    known = read_latent(folder, node.level, node.index)
    if not {"histogram", "quantiles", "largest"} <= known.keys():
        return None
    bars = [int(count) for count in known["histogram"]]
    kind = "images" if graph.meta.direction == "generates" else "text"
    where = f"{WHERE.get(record.get('measured_on', 'train'), '')} {kind}".strip()
    return {
        "bars": bars,
        "largest": float(known["largest"]),
        "quantiles": [[share, float(value)] for share, value in zip(QUANTILES, known["quantiles"], strict=True)],
        "hint": f"{sum(bars):,} values above zero on {where}",
        "life": _life(known),
        "agreement": _agreement(known),
    }


def _of_representation(graph: ConceptGraph, node: Node) -> dict[str, Any] | None:
    """The same of a latent that is never off: its values lie between two ends."""
    try:
        found = read_latents(resolve(graph.meta.representation, "representation", names_only=True))
        latent = found.latents[node.index]
    except (WorkbenchError, OSError, IndexError):
        return None
    return {
        "title": "Where its values lie",
        "bars": latent.histogram,
        "smallest": latent.low,
        "largest": latent.high,
        "quantiles": [[share, value] for share, value in zip(QUANTILES, latent.quantiles, strict=True)],
        "hint": f"{found.rows:,} held-out rows",
        "life": "",
        "agreement": "",
    }


def _life(known: dict[str, Any]) -> str:
    if "revived" not in known or "silent" not in known:
        return "Revival: not recorded when this probe was trained."
    times, silent = int(known["revived"]), int(known["silent"])
    came = "It never died in training" if not times else f"It came back to life {times:,} times in training"
    return f"{came}; at the end it had been silent for {silent:,} rows."


def _agreement(known: dict[str, Any]) -> str:
    if "seed_agreement" not in known:
        return ""
    return (
        f"Seed agreement: its best match in other seeds has a decoder cosine of {float(known['seed_agreement']):.2f}."
    )
