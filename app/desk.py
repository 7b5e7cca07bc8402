"""Between the rack on screen and lever sets: rows from concepts, lever sets from rows, rows from lever sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from app.components.lever_rack import LeverRow, Rack
from concept_graphs.graph import ConceptGraph
from concept_graphs.text import visible
from probes.addresses import Selector
from probes.errors import WorkbenchError
from steering.levers import Lever, OperationParams
from steering.registry import OPERATIONS
from steering.row_comparison import ROW_OPERATIONS


class OnScreen(NamedTuple):
    """The slider of an operation: its ends and where it starts; and what the operation needs besides."""

    low: float
    high: float
    start: float
    needs: str = ""


ON_SCREEN = {
    "add": OnScreen(0.0, 2.0, 1.0),
    "scale": OnScreen(-1.0, 1.0, -1.0),
    "set": OnScreen(0.0, 1.0, 1.0, "aim"),
    "cap": OnScreen(0.0, 1.0, 1.0, "aim"),
    "project": OnScreen(0.0, 1.0, 1.0),
    "swap": OnScreen(0.0, 1.0, 1.0, "target"),
    "patch": OnScreen(0.0, 1.0, 1.0, "donor"),
}
# Latents of a representation have two sides, and their unit is a standard deviation.
ON_ROWS = {
    "add": OnScreen(-3.0, 3.0, 1.0),
    "scale": OnScreen(-1.0, 1.0, -1.0),
    "set": OnScreen(0.0, 1.0, 1.0, "aim"),
    "cap": OnScreen(0.0, 1.0, 1.0, "aim"),
    "swap": OnScreen(0.0, 1.0, 1.0, "target"),
}
SELECTORS: Mapping[str, str] = {"all": "", "prompt": "positions=prompt", "generated": "positions=generated"}


def operations(kind: str = "text") -> list[dict[str, Any]]:
    """The operations of the rack for what levers act on: name, sentence, slider and what it needs besides."""
    if kind == "rows":
        return [{"name": name, "sentence": ROW_OPERATIONS[name], **row._asdict()} for name, row in ON_ROWS.items()]
    return [{"name": name, "sentence": OPERATIONS[name].sentence, **row._asdict()} for name, row in ON_SCREEN.items()]


def row_of_latent(level: str, level_index: int, latent: int) -> LeverRow:
    """A new row for a latent of a probe that has no graph, and so no labels."""
    key = f"{level}/{latent}"
    return LeverRow(key=key, concept=key, label=f"latent {latent}", level=level, level_index=level_index)


def row_for(graph: ConceptGraph, concept: str) -> LeverRow:
    """A new row for a concept of the graph. Raises `WorkbenchError` when there is no such concept."""
    node = graph.node(concept)
    if not can_be_levers(graph):
        raise without_probe(graph)
    return LeverRow(
        key=concept,
        concept=concept,
        label=node.label,
        level=node.level,
        level_index=graph.level_of(node.level),
        companions={other.partition("/")[2]: weight for other, weight in node.companions},
    )


def can_be_levers(graph: ConceptGraph) -> bool:
    """Whether there is anything to write the concepts of a graph with: a probe, or a representation that decodes."""
    return bool(graph.meta.probe or (graph.meta.representation and graph.meta.settings.get("decodes")))


def without_probe(graph: ConceptGraph) -> WorkbenchError:
    """The error for levers from a graph that nothing can be written with."""
    if graph.meta.representation:
        return WorkbenchError(
            "no-decoder",
            f"Nothing in the graph {graph.meta.name} can be a lever",
            "its latents are a representation's whose task trains no decoder back to what is seen",
            "Keep a cell whose task decodes, such as reconstruction.",
        )
    return WorkbenchError(
        "no-probe",
        f"Nothing in the graph {graph.meta.name} can be a lever",
        "it was imported from a file, without the dictionaries its concepts come from",
        "Import the dictionaries, and steer with the probe that makes.",
    )


def choices(graph: ConceptGraph) -> dict[str, list[tuple[int, str]]]:
    """Level to (latent, label) of its concepts: what a swap can move to."""
    found: dict[str, list[tuple[int, str]]] = {level.name: [] for level in graph.meta.levels}
    for node in graph.nodes:
        found[node.level].append((node.index, visible(node.label)))
    return found


def selector_text(row: LeverRow) -> str:
    """Where a row acts, as a selector."""
    plain = Selector.parse(SELECTORS[row.where])
    given = {"branch": row.branch, "cells": row.cells, "noise": row.noise or plain.noise}
    return str(plain.model_copy(update=given))


def levers_of(rack: Rack) -> list[Lever]:
    """The rack as levers."""
    return [
        Lever(
            level=row.level,
            weights=row.latents(),
            operation=row.operation,
            strength=row.strength,
            where=selector_text(row),
            limit=row.limit,
            params=OperationParams(level=row.aim, target=row.target, donor=row.donor),
        )
        for row in rack.levers
    ]


def rack_from(levers: Sequence[Lever], row_of: Callable[[str], LeverRow]) -> Rack:
    """The rows that show levers; `row_of` makes the plain row of a concept. Raises `WorkbenchError` for what
    the rack cannot show."""
    rows = []
    for at, lever in enumerate(levers):
        selector = lever.selector
        shown = -8 <= lever.strength <= 8 and lever.params.level <= 8 and len(lever.params.donor) <= 4000
        if not isinstance(selector.positions, str) or selector.rows is not None or not shown or len(lever.weights) > 64:
            raise WorkbenchError(
                "not-on-screen",
                "The lever set cannot be shown",
                f"lever {at + 1}: {lever.operation}, strength {lever.strength:g}, {lever.where[:80] or 'all places'}",
                "Apply it with fulcrum steer --levers; the rack shows strengths up to 8 at whole texts.",
            )
        main = max(lever.weights, key=lambda latent: abs(lever.weights[latent]))
        alone = lever.weights == {main: 1.0}
        fields = {
            "key": f"{lever.level}/{main}#{at}",
            "operation": lever.operation,
            "strength": lever.strength,
            "where": selector.positions,
            "branch": selector.branch,
            "noise": None if selector.noise == Selector().noise else selector.noise,
            "cells": selector.cells,
            "limit": lever.limit,
            "aim": lever.params.level,
            "target": lever.params.target,
            "donor": lever.params.donor,
            "weights": {} if alone else {str(latent): weight for latent, weight in lever.weights.items()},
        }
        rows.append(LeverRow.model_validate(dict(row_of(f"{lever.level}/{main}")) | fields))
    return Rack(levers=tuple(rows))


def shares(rack: Rack, data: dict[str, Any]) -> dict[str, float]:
    """Row key to the share of the norm at strength 1, from what the last run measured."""
    pairs = zip(rack.levers, data.get("levers", []), strict=False)
    return {row.key: lever["share"] / abs(row.strength) for row, lever in pairs if row.strength and lever["moved"]}
