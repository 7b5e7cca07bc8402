"""Groups in the picture of a graph: members side by side in a box with a name; along a timeline, ringed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from concept_graphs.placing import placed_in_line
from concept_graphs.text import esc_plotly

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph
    from concept_graphs.groups import Group, Groups

LINE = "rgba(154,106,0,0.75)"
FILL = "rgba(154,106,0,0.10)"
ROOM = 0.055  # around members, in levels


def side_by_side(graph: ConceptGraph, groups: Groups, place: np.ndarray) -> np.ndarray:
    """The order of concepts within their levels with the members of a group next to each other, float64 `node`.

    A group stands where the middle of its members of that level stood.
    """
    order = place.astype(np.float64).copy()
    for at, rows in enumerate(_parts(graph, groups).values(), start=1):
        # Less than any two neighbours are apart, and different for each group, so that no two groups mix.
        order[rows] = place[rows].mean() + 1e-9 * at + 1e-12 * np.argsort(np.argsort(place[rows]))
    return order


def boxes(
    graph: ConceptGraph, groups: Groups, shown: np.ndarray, x: np.ndarray, y: np.ndarray, width: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Shapes and annotations of the groups of which at least two members are drawn side by side on a level.

    Names stand in the `width` pixels of the picture, the largest groups' first; one that would lie on another is left
    to what is shown of the members on hovering.
    """
    drawn = np.zeros(len(graph.nodes), dtype=bool)
    drawn[shown] = True
    levels = graph.level_index[shown]
    lowest = levels.min(initial=0) if len(np.unique(levels)) > 1 else -1
    shapes, names = [], []
    named: dict[int, list[tuple[int, str, float, float]]] = {}  # level to (members, name, x, y)
    for (key, level), rows in _parts(graph, groups).items():
        inside = rows[drawn[rows]]
        if len(inside) < 2:
            continue
        half = 0.45 / max(int((levels == level).sum()), 1)
        ends = x[inside].min() - half, x[inside].max() + half, y[inside].min() - ROOM, y[inside].max() + ROOM
        shapes.append(_box(*(round(float(end), 4) for end in ends)))
        # On the side where the level has no labels of its own.
        side = float(ends[3] if level == lowest else ends[2])
        named.setdefault(level, []).append((len(inside), groups.group(key).name, float(x[inside].mean()), side))
    for level, wanted in named.items():
        wanted.sort(key=lambda one: -one[0])
        placed = placed_in_line([(x * width, name) for _, name, x, _ in wanted], width)
        for (_, name, _, y_side), place in zip(wanted, placed, strict=True):
            if place:
                centre, most = place
                names.append(_name(esc_plotly(name, most), centre / width, y_side, above=level == lowest))
    return shapes, names


def rings(graph: ConceptGraph, groups: Groups, shown: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    """A trace of rings around all drawn members, where places are given by time and no box can hold them."""
    of = _of_rows(graph, groups)
    rows = [int(row) for row in shown if int(row) in of]
    if not rows:
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "in a group",
            "showlegend": True,
            "hoverinfo": "skip",
            "x": [round(float(x[row]), 4) for row in rows],
            "y": [round(float(y[row]), 4) for row in rows],
            "marker": {"symbol": "circle-open", "size": 18, "color": LINE, "line": {"width": 1.6}},
        }
    ]


def group_names(graph: ConceptGraph, groups: Groups) -> dict[int, str]:
    """Row of a concept to the name of the group it is drawn in."""
    return {row: group.name for row, group in _of_rows(graph, groups).items()}


def _of_rows(graph: ConceptGraph, groups: Groups) -> dict[int, Group]:
    return {graph.position(concept): group for concept, group in groups.first_of(graph).items()}


def _parts(graph: ConceptGraph, groups: Groups) -> dict[tuple[str, int], np.ndarray]:
    """(group, level) to the rows of its members there."""
    found: dict[tuple[str, int], list[int]] = {}
    for row, group in _of_rows(graph, groups).items():
        found.setdefault((group.key, int(graph.level_index[row])), []).append(row)
    return {key: np.array(rows, dtype=np.int64) for key, rows in found.items()}


def _box(left: float, right: float, low: float, high: float) -> dict[str, Any]:
    return {
        "type": "rect", "xref": "x", "yref": "y", "layer": "below", "x0": left, "x1": right, "y0": low, "y1": high,
        "line": {"width": 1.2, "color": LINE, "dash": "dot"}, "fillcolor": FILL, "name": "group",
    }  # fmt: skip


def _name(text: str, x: float, y: float, above: bool) -> dict[str, Any]:
    return {
        "xref": "x", "yref": "y", "x": round(x, 4), "y": round(y, 4), "yanchor": "bottom" if above else "top",
        "showarrow": False, "font": {"size": 10}, "text": text, "name": "group",
    }  # fmt: skip
