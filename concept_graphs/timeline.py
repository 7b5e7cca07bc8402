"""The picture of a graph whose levels are noise bands: time runs to the right, one lane per block.

x is 1 − noise, so that pure noise stands at the left and the finished image at the right, in the order in which
the subject computes. A concept stands in its level's band and in the lane of its hook point. Where levels share a
band, its width only keeps their concepts apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from concept_graphs.layout import in_turn
from concept_graphs.text import esc_plotly

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph

LANE = 0.86  # of the distance of two lanes: what concepts are spread over
COLUMN = 0.6  # of a band's width: what they are spread over sideways
ROOM = 24  # concepts one above the other in a lane
STAGGER = 5  # rows that concepts side by side in a lane take turns with
BELOW = 0.56  # of the distance of two lanes: where a lane ends, under its name
MARGIN = 0.03  # of the noise shown, beyond its ends
HEIGHT = 420  # pixels of all lanes together in a picture of usual size


def is_timeline(graph: ConceptGraph) -> bool:
    """Whether every level reads in a noise band."""
    return all(level.noise is not None for level in graph.meta.levels)


def lanes(graph: ConceptGraph, levels: list[int]) -> list[str]:
    """Hook points of the levels shown, each once, lowest lane first: those with the least depth at the bottom."""
    rows = [graph.meta.levels[k] for k in levels]
    order = sorted(rows, key=lambda level: (level.fraction or 0.0, level.hook_point))
    return list(dict.fromkeys(level.hook_point for level in order))


def positions(graph: ConceptGraph, nodes: np.ndarray, levels: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """x in [0, 1] and y in lanes of all node rows, NaN where hidden; `nodes`: the rows that are shown."""
    x, y = (np.full(len(graph.nodes), np.nan) for _ in range(2))
    order, here = in_turn(graph), lanes(graph, levels)
    for k in np.unique(graph.level_index[nodes]):
        level = graph.meta.levels[k]
        assert level.noise is not None
        rows = nodes[graph.level_index[nodes] == k]
        rows = rows[np.argsort(order[rows], kind="stable")]
        at, count = np.arange(len(rows)), len(rows)
        middle, width = 1 - sum(level.noise) / 2, (level.noise[1] - level.noise[0]) * COLUMN
        if sum(graph.meta.levels[other].noise == level.noise for other in levels) > 1:
            # Levels above each other: their concepts stand side by side, or edges would lie on one line.
            tall = min(count, STAGGER)
            across, up = (at + 0.5) / count, (at % tall + 0.5) / tall
        else:
            columns = min(6, -(-count // ROOM))
            across, up = (at % columns + 0.5) / columns, (at + 0.5) / count
        x[rows] = middle + width * (across - 0.5)
        y[rows] = here.index(level.hook_point) + LANE * (up - 0.5)
    return x, y


def span(graph: ConceptGraph, levels: list[int]) -> tuple[float, float]:
    """Where the picture starts and ends, in x."""
    edges = [edge for k in levels for edge in graph.meta.levels[k].noise or (0.0, 1.0)]
    beyond = MARGIN * (max(edges) - min(edges))
    return 1 - max(edges) - beyond, 1 - min(edges) + beyond


def frame(graph: ConceptGraph, levels: list[int]) -> dict[str, Any]:
    """Axes, bands and names of the picture: parts of a plotly layout."""
    here = lanes(graph, levels)
    noises = [graph.meta.levels[k].noise or (0.0, 1.0) for k in levels]
    edges = sorted({edge for noise in noises for edge in noise}, reverse=True)
    return {
        "xaxis": {
            "range": list(span(graph, levels)),
            "zeroline": False, "showgrid": False, "title": {"text": "noise", "standoff": 4},
            "tickvals": [round(1 - edge, 6) for edge in edges], "ticktext": [f"{edge:g}" for edge in edges],
            "ticks": "outside", "side": "bottom",
        },
        "yaxis": {"visible": False, "range": [-0.62, len(here) - 0.38], "zeroline": False},
        "shapes": [*(_band(*noise) for noise in dict.fromkeys(noises)), *map(_floor, range(1, len(here)))],
        "annotations": [
            *(_named(graph, k, len(here) - 0.44) for k, noise in zip(levels, noises, strict=True)
              if noises.count(noise) == 1),
            *(_lane(graph, [k for k, noise in zip(levels, noises, strict=True) if noises.count(noise) > 1], name, at)
              for at, name in enumerate(here)),
        ],
    }  # fmt: skip


def _band(low: float, high: float) -> dict[str, Any]:
    return {
        "type": "rect", "xref": "x", "yref": "paper", "layer": "below", "line": {"width": 0},
        "x0": 1 - high + 0.004, "x1": 1 - low - 0.004, "y0": 0, "y1": 1, "fillcolor": "rgba(128,132,140,0.07)",
    }  # fmt: skip


def _floor(at: int) -> dict[str, Any]:
    """The line between a lane and the one below it."""
    return {
        "type": "line", "xref": "paper", "yref": "y", "layer": "below", "x0": 0, "x1": 1, "y0": at - BELOW,
        "y1": at - BELOW, "line": {"width": 1, "color": "rgba(128,132,140,0.3)"},
    }  # fmt: skip


def _named(graph: ConceptGraph, k: int, y: float) -> dict[str, Any]:
    level = graph.meta.levels[k]
    return {
        "xref": "x", "yref": "y", "x": 1 - sum(level.noise or (0.0, 0.0)) / 2, "y": y, "showarrow": False,
        "font": {"size": 11}, "text": f"<b>{esc_plotly(level.name, 24)}</b>",
    }  # fmt: skip


def _lane(graph: ConceptGraph, shared: list[int], name: str, at: int) -> dict[str, Any]:
    """The hook point of a lane, below its concepts; after the level where bands do not tell levels apart."""
    own = [esc_plotly(graph.meta.levels[k].name, 24) for k in shared if graph.meta.levels[k].hook_point == name]
    return {
        "xref": "paper", "yref": "y", "x": 0, "y": at - 0.5, "xanchor": "left", "xshift": 4, "yanchor": "middle",
        "showarrow": False, "font": {"size": 11},
        "text": " ".join([*(f"<b>{level}</b>" for level in own), esc_plotly(name, 48)]),
    }  # fmt: skip
