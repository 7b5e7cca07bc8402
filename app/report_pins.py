"""The part of a report about steering: each pinned run with its texts, levers and controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.report_evidence import concept_link
from concept_graphs.graph import ConceptGraph
from concept_graphs.text import number
from probes.sections import Cell, Section, Strip, Table
from steering.comparison import Comparison, Continuation


def pinned_run(graph: ConceptGraph, found: Comparison, at: int) -> Section:
    """One pinned run: both texts side by side, the levers, the controls."""
    plain, steered, ours = found.unsteered, found.steered, found.probe == graph.meta.probe
    foreign = [f"Made with the probe {found.probe}, not the graph's: its latents are not the concepts shown here."]
    damage = steered.damage_per_token
    strips = [
        Strip(plain.tokens, damage, _shading(damage), "Unsteered", found.prompt),
        Strip(steered.tokens, (), _damage(steered), "Steered", found.prompt),
    ]
    levers: list[list[Cell]] = []
    for row in found.levers:
        latents = [
            _lever(graph if ours else None, f"{row.lever.level}/{latent}", weight)
            for latent, weight in row.lever.weights.items()
        ]
        share = f"{row.share:.1%} (largest {row.largest_share:.1%})"
        moved = f"{row.moved:,} of {row.places:,}"
        facts = [row.lever.operation, f"{row.lever.strength:g}", row.lever.where or "everywhere", share, moved]
        levers += [[latent, *(facts if first else [""] * 5)] for first, latent in _flagged(latents)]
    texts = [[row.name, _prefix(row, found), row.text, _damage_number(row)] for row in (steered, *found.controls)]
    return Section(
        f"“{found.prompt}”",
        f"steering-{at}",
        level=3,
        tag=f"run {at}",
        notices=[*([] if ours else foreign), *found.notices],
        paragraphs=[
            f"Seed {found.seed}, temperature {found.temperature:g}, subject {found.subject}, probe {found.probe}."
        ],
        strips=strips,
        beside=True,
        tables=[
            Table(
                ["lever", "operation", "strength", "where", "share of the residual norm", "places moved"],
                levers,
                "Levers; strength counts typical activations",
                stacked=True,
            ),
            Table(
                ["", "prompt begins with", "continuation", "damage, nats per token"],
                texts,
                "Against controls at the same places and norm; damage is the mean change of the unsteered text's "
                "log-probability, closer to zero is better",
                stacked=True,
            ),
        ],
    )


def _lever(graph: ConceptGraph | None, key: str, weight: float) -> Cell:
    """A latent of a lever; with its label and a link where it belongs to the graph's own probe."""
    more = "" if weight == 1 else f" × {weight:g}"
    return f"{key}{more}" if graph is None else concept_link(graph, key, more)


def _flagged(rows: Sequence[Cell]) -> Iterator[tuple[bool, Cell]]:
    return ((at == 0, row) for at, row in enumerate(rows))


def _shading(damage: Sequence[float]) -> str:
    return "Colour: change of each token's log-probability under the levers, nats" if damage else ""


def _damage(row: Continuation) -> str:
    return "" if row.damage is None else f"Damage {_damage_number(row)} nats per unsteered token"


def _damage_number(row: Continuation) -> str:
    return "–" if row.damage is None else number(row.damage, 3)


def _prefix(row: Continuation, found: Comparison) -> str:
    """What a control put before the prompt."""
    return "" if row.prompt == found.prompt else row.prompt.removesuffix(found.prompt).strip()
