"""The picture of a graph whose edges join concepts of one level: a ring, its proposed directions as arrow heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from concept_graphs.text import esc_plotly

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph

MOST_LABELS = 40
SHORTENED = 0.03  # an arrow ends this far before the middle of a concept
ACROSS, UP = 0.36, 0.42  # half the ring's width and height
HEAD = "rgba(128,132,140,0.9)"
LINE = {"color": "rgba(128,132,140,0.75)", "width": 1.4, "dash": "solid"}


def is_ring(graph: ConceptGraph) -> bool:
    """Whether edges stay inside a level."""
    return graph.meta.joins == "within"


def positions(graph: ConceptGraph, nodes: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of all node rows, NaN where hidden: the shown ones in turn, clockwise from the top."""
    x, y = (np.full(len(graph.nodes), np.nan) for _ in range(2))
    rows = nodes[np.argsort(order[nodes], kind="stable")]
    turn = np.pi / 2 - 2 * np.pi * np.arange(len(rows)) / max(len(rows), 1)
    x[rows], y[rows] = 0.5 + ACROSS * np.cos(turn), 0.5 + UP * np.sin(turn)
    return x, y


def labels(
    graph: ConceptGraph, nodes: np.ndarray, x: np.ndarray, y: np.ndarray
) -> tuple[dict[int, str], dict[int, str]]:
    """Texts (escaped) and plotly text positions by node row, outside the ring; of a crowded ring none."""
    if len(nodes) > MOST_LABELS:
        return {}, {}
    sides = {int(row): _side(float(x[row]) - 0.5, float(y[row]) - 0.5) for row in nodes}
    # A space as wide as half a letter keeps the text off the ring around a chosen marker.
    room = {"middle right": "\u2002{}", "middle left": "{}\u2002"}
    texts = {row: room.get(side, "{}").format(esc_plotly(graph.nodes["label"][row], 24)) for row, side in sides.items()}
    return texts, sides


def _side(right: float, up: float) -> str:
    if abs(right) < 0.4 * ACROSS:
        return "top center" if up > 0 else "bottom center"
    return "middle right" if right > 0 else "middle left"


def frame(graph: ConceptGraph, edges: np.ndarray, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Axes and arrow heads: parts of a plotly layout."""
    axis = {"visible": False, "zeroline": False, "range": [-0.06, 1.06]}
    source, target = graph.ends
    heads = [_head(x, y, int(source[row]), int(target[row])) for row in edges if graph.edges["oriented"][int(row)]]
    return {"xaxis": axis, "yaxis": axis, "shapes": [], "annotations": heads}


def _head(x: np.ndarray, y: np.ndarray, source: int, target: int) -> dict[str, Any]:
    """An arrow head just before the target."""
    start, end = np.array([x[source], y[source]]), np.array([x[target], y[target]])
    along = (end - start) / max(1e-9, float(np.linalg.norm(end - start)))
    tip, tail = end - SHORTENED * along, end - 1.5 * SHORTENED * along
    return {
        "x": round(float(tip[0]), 4), "y": round(float(tip[1]), 4),
        "ax": round(float(tail[0]), 4), "ay": round(float(tail[1]), 4),
        "xref": "x", "yref": "y", "axref": "x", "ayref": "y", "text": "", "showarrow": True, "arrowhead": 2,
        "arrowsize": 1.2, "arrowwidth": 1.4, "arrowcolor": HEAD, "name": "direction",
    }  # fmt: skip


def edge_said(edge: Any) -> list[str]:
    """What is known of an edge that no intervention tested, a line each."""
    said = ["proposed with this direction, not tested" if edge.oriented else "proposed, direction open, not tested"]
    if edge.frequency is not None:
        said.append(f"comes back on {edge.frequency:.0%} of resampled rows")
    if edge.correlation is not None:
        said.append(f"correlation {edge.correlation:.2f}".replace("-", "−"))
    return said
