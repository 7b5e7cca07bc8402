"""Between the rack on screen and lever sets: rows from concepts, lever sets from rows, rows from lever sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.components.lever_rack import LeverRow, Rack
from concept_graphs.graph import ConceptGraph
from probes.errors import WorkbenchError
from steering.levers import OPERATIONS, Lever, OperationParams

# Operations one slider can drive: its ends and where it starts. A swap needs a second latent, a patch a text.
ON_SCREEN = {
    "add": (0.0, 2.0, 1.0),
    "scale": (-1.0, 1.0, -1.0),
    "set": (0.0, 1.0, 1.0),
    "cap": (0.0, 1.0, 1.0),
    "project": (0.0, 1.0, 1.0),
}
SELECTORS: Mapping[str, str] = {"all": "", "prompt": "positions=prompt", "generated": "positions=generated"}


def operations() -> list[dict[str, Any]]:
    """The operations of the rack, from the registry: name, sentence, slider ends and starting strength."""
    return [
        {"name": name, "sentence": OPERATIONS[name].sentence, "low": low, "high": high, "start": start}
        for name, (low, high, start) in ON_SCREEN.items()
    ]


def row_for(graph: ConceptGraph, concept: str) -> LeverRow:
    """A new row for a concept of the graph. Raises `WorkbenchError` when there is no such concept."""
    node = graph.node(concept)
    level = graph.level_of(node.level)
    return LeverRow(key=concept, concept=concept, label=node.label, level=node.level, level_index=level)


def levers_of(rack: Rack) -> list[Lever]:
    """The rack as levers."""
    return [
        Lever(
            level=row.level,
            weights=row.latents(),
            operation=row.operation,
            strength=row.strength,
            where=SELECTORS[row.where],
            params=OperationParams(level=row.aim),
        )
        for row in rack.levers
    ]


def rack_from(graph: ConceptGraph, levers: Sequence[Lever]) -> Rack:
    """The rows that show levers. Raises `WorkbenchError` for what the rack or the graph cannot show."""
    places = {text: name for name, text in SELECTORS.items()}
    rows = []
    for at, lever in enumerate(levers):
        if lever.operation not in ON_SCREEN or lever.where not in places or not -8 <= lever.strength <= 8:
            raise WorkbenchError(
                "not-on-screen",
                "The lever set cannot be shown",
                f"lever {at + 1}: {lever.operation}, strength {lever.strength:g}, {lever.where or 'all places'}",
                "Apply it with steering.generate.compare; the rack shows operations with one slider.",
            )
        main = max(lever.weights, key=lambda latent: abs(lever.weights[latent]))
        alone = lever.weights == {main: 1.0}
        fields = {
            "key": f"{lever.level}/{main}#{at}",
            "operation": lever.operation,
            "strength": lever.strength,
            "where": places[lever.where],
            "aim": min(8.0, lever.params.level),
            "weights": {} if alone else {str(latent): weight for latent, weight in lever.weights.items()},
        }
        rows.append(LeverRow.model_validate(row_for(graph, f"{lever.level}/{main}").model_dump() | fields))
    return Rack(levers=tuple(rows))
