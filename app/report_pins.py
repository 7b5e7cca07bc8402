"""The part of a report about steering: each pinned run with its texts or pictures, its levers and controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.picture_facts import evidence_value
from app.report_links import concept_link
from concept_graphs.graph import ConceptGraph
from concept_graphs.text import number
from probes.sections import Cell, Fact, Image, Section, Strip, Table
from steering.comparison import Comparison, Continuation, PictureComparison, Pinned
from steering.levers import Lever

BRIGHTER = 1.05  # a gain that is told of


def pinned_run(graph: ConceptGraph, found: Pinned, at: int) -> Section:
    """One pinned run, the `at`th of the report: what was steered beside what was not, the levers, the controls."""
    ours = found.probe == graph.meta.probe
    foreign = [f"Made with the probe {found.probe}, not the graph's: its latents are not the concepts shown here."]
    common = Section(
        f"“{found.prompt}”",
        f"steering-{at}",
        level=3,
        tag=f"run {at}",
        notices=[*([] if ours else foreign), *found.notices],
        command=found.command,
    )
    named = graph if ours else None
    return _texts(common, found, named) if isinstance(found, Comparison) else _pictures(common, found, named)


def _texts(common: Section, found: Comparison, graph: ConceptGraph | None) -> Section:
    """Both texts side by side."""
    plain, steered = found.unsteered, found.steered
    damage = steered.damage_per_token
    texts = [[row.name, _prefix(row, found), row.text, _damage_number(row)] for row in (steered, *found.controls)]
    return replace(
        common,
        paragraphs=[
            f"Seed {found.seed}, temperature {found.temperature:g}, subject {found.subject}, probe {found.probe}."
        ],
        strips=[
            Strip(plain.tokens, damage, _shading(damage), "Unsteered", found.prompt),
            Strip(steered.tokens, (), _damage(steered), "Steered", found.prompt),
        ],
        beside=True,
        tables=[
            _levers(found, graph, "residual norm"),
            Table(
                ["", "prompt begins with", "continuation", "damage, nats per token"],
                texts,
                "Against controls at the same places and norm; damage is the mean change of the unsteered text's "
                "log-probability, closer to zero is better",
                stacked=True,
            ),
        ],
    )


def _pictures(common: Section, found: PictureComparison, graph: ConceptGraph | None) -> Section:
    """A row of before, after and difference per seed."""
    said = evidence_value(found.model_dump(mode="json"))
    gain = f"{found.gain:.2g} times brighter" if found.gain > BRIGHTER else ""
    shots = zip(found.seeds, found.unsteered.pictures, found.steered.pictures, found.difference, strict=True)
    images = [
        [
            Image(before, f"Unsteered picture of seed {seed}", "Unsteered", f"seed {seed}"),
            Image(after, f"Steered picture of seed {seed}", "Steered", f"seed {seed}"),
            Image(gap, f"Difference of both pictures of seed {seed}", "Difference", gain),
        ]
        for seed, before, after, gap in shots
    ]
    names = [name or "prompt" * (at == 1) for at, name in enumerate(said["headers"])]
    rows: list[list[Cell]] = [
        [Image(row["picture"], f"First picture: {row['name']}"), row["name"], row["note"], *row["cells"]]
        for row in said["rows"]
    ]
    return replace(
        common,
        paragraphs=[_settings(found)],
        facts=[Fact(fact["name"], fact["value"], fact["note"]) for fact in said["facts"]],
        images=images,
        tables=[
            _levers(found, graph, "activation"),
            *([Table(["", "control", *names[1:]], rows, _sentence(said["rows_note"]), stacked=True)] if rows else []),
        ],
    )


def _settings(found: PictureComparison) -> str:
    seeds = ", ".join(map(str, found.seeds))
    guidance = "without guidance" if found.guidance is None else f"guidance {found.guidance:g}"
    negative = f", not showing “{found.negative}”" if found.negative else ""
    return f"Seed {seeds}, {found.steps} steps, {guidance}{negative}, subject {found.subject}, probe {found.probe}."


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _levers(found: Pinned, graph: ConceptGraph | None, norm: str) -> Table:
    """What each lever was and did; `graph` where its latents are that graph's concepts."""
    rows: list[list[Cell]] = []
    for row in found.levers:
        latents = [_lever(graph, f"{row.lever.level}/{latent}", weight) for latent, weight in row.lever.weights.items()]
        share = f"{row.share:.1%} (largest {row.largest_share:.1%})"
        moved = f"{row.moved:,} of {row.places:,}"
        facts = [row.lever.operation, f"{row.lever.strength:g}", _place(row.lever), share, moved]
        rows += [[latent, *(facts if first else [""] * 5)] for first, latent in _flagged(latents)]
    headers = ["lever", "operation", "strength", "where", f"share of the {norm}", "places moved"]
    return Table(headers, rows, "Levers; strength counts typical activations", stacked=True)


def _place(lever: Lever) -> str:
    """Where a lever acts; of a mask its size, not its every cell."""
    mask = lever.selector.cells
    if mask is None:
        return lever.where or "everywhere"
    rest = str(lever.selector.model_copy(update={"cells": None}))
    return ", ".join(filter(None, [rest, f"where a mask of {mask.height} x {mask.width} cells is painted"]))


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
