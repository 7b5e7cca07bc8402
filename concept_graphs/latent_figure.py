"""The known graph of a world and the one found among latents as two pictures, every factor at the same place in both.

Plain plotly JSON, no plotly import.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from concept_graphs.figure import INK, LEVEL_COLOURS
from concept_graphs.known_figure import STROKES
from concept_graphs.latent_graph import LatentGraph, joined
from concept_graphs.latent_methods import method_called
from concept_graphs.text import esc_plotly
from probes.worlds.world import Flags

HEIGHT = 360
SHORTENED = 0.17  # an arrow ends this far before the middle of a factor


def latent_figures(found: LatentGraph) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the known graph, the graph among latents), each {"data", "layout"}."""
    known, own = set(joined(found.known)), set(found.pairs)
    sides = (
        ("Known: the world's graph", found.known, known, own, "missed"),
        (f"Among latents, by {method_called(found.method)}", found.marks, own, known, "extra"),
    )
    first, second = (_picture(found, title, marks, pairs, other, rest) for title, marks, pairs, other, rest in sides)
    return first, second


def _picture(
    found: LatentGraph, title: str, marks: Flags, pairs: set[tuple[int, int]], other: set[tuple[int, int]], rest: str
) -> dict[str, Any]:
    """Edges that both graphs have are `found`, the others are `rest`."""
    kinds = {pair: "found" if pair in other else rest for pair in sorted(pairs)}
    spots = _circle(len(found.names))
    counts = ", ".join(f"{sum(one == kind for one in kinds.values())} {kind}" for kind in ("found", rest))
    arrows, data = [], [_legend(kind) for kind in ("found", rest)]
    for (a, b), kind in kinds.items():
        start, end = (a, b) if marks[a, b] else (b, a)
        arrows.append(_arrow(spots[start], spots[end], kind, both=bool(marks[a, b] and marks[b, a])))
        data.append(_middle(found, (a, b), kind, spots))
    data.append(
        {
            "type": "scatter",
            "mode": "markers+text",
            "showlegend": False,
            "x": spots[:, 0].tolist(),
            "y": spots[:, 1].tolist(),
            "text": [esc_plotly(name, 24) for name in found.names],
            "textposition": ["top center" if y >= -1e-9 else "bottom center" for y in spots[:, 1]],
            "hoverinfo": "skip",
            "cliponaxis": False,
            "marker": {"size": 15, "color": LEVEL_COLOURS[0], "opacity": 1},
        }
    )
    return {"data": data, "layout": _layout(title, counts, arrows)}


def _circle(n: int) -> np.ndarray:
    """Places of factors, `factor 2`, the first at the top."""
    turn = np.pi / 2 - 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def _arrow(start: np.ndarray, end: np.ndarray, kind: str, *, both: bool) -> dict[str, Any]:
    """From `start` to `end`; without a head where the direction is open."""
    along = (end - start) / max(1e-9, float(np.linalg.norm(end - start)))
    tail, head = start + SHORTENED * along, end - SHORTENED * along
    colour, _, width = STROKES[kind]
    return {
        "x": float(head[0]), "y": float(head[1]), "ax": float(tail[0]), "ay": float(tail[1]),
        "xref": "x", "yref": "y", "axref": "x", "ayref": "y", "text": "", "showarrow": True,
        "arrowhead": 0 if both else 2, "arrowsize": 1.1, "arrowwidth": width + 0.4, "arrowcolor": colour,
    }  # fmt: skip


def _middle(found: LatentGraph, pair: tuple[int, int], kind: str, spots: np.ndarray) -> dict[str, Any]:
    """An invisible point that says which edge it is, and how often it comes back."""
    a, b = pair
    middle = (spots[a] + spots[b]) / 2
    names = f"{esc_plotly(found.names[a])} and {esc_plotly(found.names[b])}: {kind}"
    return {
        "type": "scatter",
        "mode": "markers",
        "showlegend": False,
        "x": [float(middle[0])],
        "y": [float(middle[1])],
        "hovertext": [f"{names}<br>among latents on {found.frequency[a, b]:.0%} of resampled rows"],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"size": 12, "opacity": 0, "color": INK},
    }


def _legend(kind: str) -> dict[str, Any]:
    colour, _, width = STROKES[kind]
    line = {"color": colour, "width": width + 0.4}
    return {"type": "scatter", "mode": "lines", "name": kind, "x": [None], "y": [None], "line": line}


def _layout(title: str, counts: str, arrows: list[dict[str, Any]]) -> dict[str, Any]:
    said = f"<b>{esc_plotly(title)}</b><br>{counts}; a line without a head: direction open"
    axis = {"visible": False, "zeroline": False, "fixedrange": True, "range": [-1.45, 1.45]}
    return {
        "title": {
            "text": said, "font": {"size": 12}, "x": 0, "xref": "container", "xanchor": "left", "yref": "container",
            "y": 1, "yanchor": "top", "pad": {"t": 8, "l": 4},
        },
        "height": HEIGHT,
        "margin": {"l": 10, "r": 10, "t": 56, "b": 30},
        "xaxis": axis,
        "yaxis": axis,
        "annotations": arrows,
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "y": 0, "yanchor": "top"},
    }  # fmt: skip
