"""A concept graph from another tool's nodes and weighted edges, of which no intervention here tested any."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import JsonValue

from concept_graphs.graph import ConceptGraph, EdgeTable, GraphMeta, LevelRow, NodeTable
from concept_graphs.schema import MOST_LEVELS
from concept_graphs.text import visible
from probes.errors import WorkbenchError
from probes.files import slug
from probes.provenance import now

UNTESTED = "No intervention here tested any edge: weights are those of the tool that made the file."
LONGEST_LABEL = 400


class Storey(NamedTuple):
    """A level of the graph to make, and where in the subject it is, in words."""

    name: str
    place: str


class Outside(NamedTuple):
    """One node: its level's place among the storeys, its label, the size of its code, and all its file says of it."""

    storey: int
    label: str
    typical: float | None
    origin: dict[str, JsonValue]


def storey_name(words: str, taken: set[str]) -> str:
    """A level's name made from words, unlike those taken, which it joins."""
    plain = re.sub(r"[^a-z0-9_-]", "-", slug(words, "level"))[:32]
    base = plain if plain[:1].isalpha() else f"level-{plain}"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name)
    return name


def built(
    name: str,
    title: str,
    subject: str,
    storeys: Sequence[Storey],
    nodes: Sequence[Outside],
    edges: Sequence[tuple[int, int, float]],
    *,
    figures: Mapping[str, Any],
    settings: Mapping[str, JsonValue],
    notes: Sequence[str],
) -> ConceptGraph:
    """The graph, laid out. `edges`: (source, target, weight), places among the nodes; nodes keep their order, and
    are numbered within their level. Raises `WorkbenchError` for what no graph can be."""
    if len(storeys) > MOST_LEVELS:
        raise WorkbenchError(
            "bad-graph-file",
            f"The graph {name} cannot be made",
            f"its nodes lie on {len(storeys):,} layers, and a graph has at most {MOST_LEVELS}",
            "Check the layers of its nodes.",
        )
    counts = [0] * len(storeys)
    rows: dict[str, list[Any]] = {key: [] for key in ("id", "level", "index", "label", "typical", "origin")}
    for node in nodes:
        level, index = storeys[node.storey].name, counts[node.storey]
        counts[node.storey] += 1
        label = " ".join(visible(node.label).split())[:LONGEST_LABEL]
        values = (f"{level}/{index}", level, index, label, node.typical, node.origin)
        for key, value in zip(rows, values, strict=True):
            rows[key].append(value)
    rows |= {"label_tokens": [[] for _ in nodes], "frequency": [None] * len(nodes)}
    ids = rows["id"]
    table = {
        "source": [ids[source] for source, _, _ in edges],
        "target": [ids[target] for _, target, _ in edges],
        "weight": np.array([weight for _, _, weight in edges], dtype=np.float64),
    }
    meta = GraphMeta(
        name=slug(name),
        title=title[:200] or name,
        subject=subject[:400],
        probe="",
        joins="any",
        created=now(),
        figures={**figures, **({"notes": list(notes)} if notes else {})},
        levels=[
            LevelRow(name=storey.name, hook_point=storey.place, row="token", n_latents=max(count, 1))
            for storey, count in zip(storeys, counts, strict=True)
        ],
        warnings=[UNTESTED, *notes],
        settings=dict(settings),
    )
    return ConceptGraph(meta, NodeTable(rows), EdgeTable(table)).laid_out()
