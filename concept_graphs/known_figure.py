"""A known graph and the recovered one as two pictures, side by side: every concept stands at the same place in both.

The known graph shows which of its edges were found and which were missed; the recovered one which of its edges are
right and which are extra. Plain plotly JSON, no plotly import, no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from concept_graphs.edge_lines import INHIBITS, SUPPORTS, UNDECIDED
from concept_graphs.figure import LEVEL_COLOURS
from concept_graphs.known_graph import NO_LATENT, Held, Joined, KnownGraph, KnownLevel, held_against
from concept_graphs.layout import layered, storeys
from concept_graphs.strokes import CURVE, band, rounded, s_lines
from concept_graphs.text import esc_plotly, number

ROOM = 12  # concepts side by side in a storey, so that their numbers fit on a phone
MOST_NUMBERED = 48  # concepts of a level that still carry their number
HEIGHT, GUTTER = 430, 54
ON_COLOUR = "#000"  # a number on the colour of a level: white is too faint on every one of them
# What became of an edge: its colour, its dash and its width. Colours are readable on white and on near-black; dashes
# tell the same to those who cannot tell the colours.
STROKES: Mapping[str, tuple[str, str, float]] = {
    "found": (f"rgba({SUPPORTS},0.75)", "solid", 1.6),
    "missed": ("rgba(224,138,30,0.95)", "dash", 1.8),
    "extra": (f"rgba({INHIBITS},0.95)", "dot", 1.8),
}


class Places(NamedTuple):
    """x and y of all concepts, lowest level first, and where each level starts among them."""

    x: np.ndarray
    y: np.ndarray
    starts: list[int]

    def of(self, level: int, concepts: Sequence[int]) -> np.ndarray:
        """Points of concepts of a level, `concept 2`."""
        rows = self.starts[level] + np.asarray(concepts, dtype=np.int64)
        return np.stack([self.x[rows], self.y[rows]], axis=1)


def known_figures(known: KnownGraph, method: str, called: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the known graph, the graph a method recovered), each {"data", "layout"}; `called` names the method."""
    held = [held_against(known, at, method) for at in range(len(known.pairs))]
    places = placed(known)
    edges = sum(len(pair.true) for pair in known.pairs)
    counts = {kind: sum(len(getattr(one, kind)) for one in held) for kind in Held._fields}
    astray = f", {counts['astray']} at latents of no concept" if counts["astray"] else ""
    titles = (
        (f"Known: {known.world}, seed {known.seed}", f"{len(places.x)} concepts, {edges} edges"),
        (
            f"Recovered by {called}",
            f"{counts['found']} found, {counts['missed']} missed, {counts['extra']} extra{astray}",
        ),
    )
    sides = (("missed", "found"), ("extra", "found"))
    first, second = (_picture(known, places, held, kinds, title) for kinds, title in zip(sides, titles, strict=True))
    return first, second


def placed(known: KnownGraph) -> Places:
    """Concepts of each level in the order that tangles the true edges least."""
    sizes = [len(level.latents) for level in known.levels]
    starts = np.cumsum([0, *sizes]).tolist()
    level = np.repeat(np.arange(len(sizes)), sizes)
    ends = [
        (starts[at] + part, starts[at + 1] + whole) for at, pair in enumerate(known.pairs) for part, whole in pair.true
    ]
    source, target = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    x, _ = layered(level, source, target, np.ones(len(source)), len(sizes))
    return Places(x, storeys(level, x, room=ROOM), starts)


def _picture(
    known: KnownGraph, places: Places, held: Sequence[Held], kinds: Sequence[str], title: tuple[str, str]
) -> dict[str, Any]:
    data = []
    for kind in kinds:
        data += _edges(known, places, [getattr(one, kind) for one in held], kind)
    for at, level in enumerate(known.levels):
        data += _concepts(level, at, places)
    return {"data": data, "layout": _layout(known, places, title)}


def _edges(known: KnownGraph, places: Places, edges: Sequence[Sequence[Joined]], kind: str) -> list[dict[str, Any]]:
    """Lines of one kind, and invisible midpoints that say which edge it is."""
    colour, dash, width = STROKES[kind]
    ends = [
        (places.of(at, [low for low, _ in some]), places.of(at + 1, [high for _, high in some]))
        for at, some in enumerate(edges)
        if some
    ]
    start, end = (np.concatenate([both[n] for both in ends]) if ends else np.zeros((0, 2)) for n in (0, 1))
    middle = (start + end) / 2
    names = [
        f"{known.levels[at].name}/{low} and {known.levels[at + 1].name}/{high}: {kind}"
        for at, some in enumerate(edges)
        for low, high in some
    ]
    lines = {
        "type": "scatter",
        "mode": "lines",
        "name": f"{kind} ({len(start)})",
        **s_lines(start, end, CURVE),
        "line": {"color": colour, "width": width, "dash": dash, "shape": "spline"},
        "hoverinfo": "skip",
    }
    if not len(start):  # the legend names it all the same
        lines |= {"x": [None], "y": [None]}
    hovered = {
        "type": "scatter",
        "mode": "markers",
        "showlegend": False,
        "x": rounded(middle[:, 0]),
        "y": rounded(middle[:, 1]),
        "hovertext": [esc_plotly(name) for name in names],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"size": 9, "opacity": 0, "color": f"rgb({UNDECIDED})"},
    }
    return [lines, hovered]


def _concepts(level: KnownLevel, at: int, places: Places) -> list[dict[str, Any]]:
    """The concepts of a level: twins as diamonds, those without a latent hollow, their numbers in the page's ink."""
    n = len(level.latents)
    spot, colour = places.of(at, range(n)), LEVEL_COLOURS[at % len(LEVEL_COLOURS)]
    twins = {concept: block for block in level.twins for concept in block}
    numbered = n <= MOST_NUMBERED
    hollow = [latent == NO_LATENT for latent in level.latents]
    marks = {
        "type": "scatter",
        "mode": "markers",
        "name": esc_plotly(level.name),
        "showlegend": False,
        "ids": [f"{level.name}/{one}" for one in range(n)],
        "x": rounded(spot[:, 0]),
        "y": rounded(spot[:, 1]),
        "hovertext": [_hover(level, one, twins.get(one, [])) for one in range(n)],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "cliponaxis": False,
        "marker": {
            "size": [(17 if one in twins else 15) if numbered else 7 for one in range(n)],
            "symbol": ["diamond" if one in twins else "circle" for one in range(n)],
            "color": ["rgba(0,0,0,0)" if empty else colour for empty in hollow],
            "line": {"color": colour, "width": 1.5},
            "opacity": 1,
        },
    }
    if not numbered:
        return [marks]
    filled = [one for one in range(n) if not hollow[one]]
    bare = [one for one in range(n) if hollow[one]]
    return [marks, *(_numbers(spot, some, ink) for some, ink in ((filled, ON_COLOUR), (bare, "")) if some)]


def _numbers(spot: np.ndarray, some: Sequence[int], ink: str) -> dict[str, Any]:
    """The numbers of some concepts, on their marks at `spot`, `concept 2`; without an ink in that of the page."""
    return {
        "type": "scatter",
        "mode": "text",
        "showlegend": False,
        "hoverinfo": "skip",
        "cliponaxis": False,
        "x": rounded(spot[some, 0]),
        "y": rounded(spot[some, 1]),
        "text": [str(one) for one in some],
        "textfont": {"size": 9, **({"color": ink} if ink else {})},
    }


def _hover(level: KnownLevel, concept: int, twins: Sequence[int]) -> str:
    latent = level.latents[concept]
    stands = (
        "no latent stands for it"
        if latent == NO_LATENT
        else f"latent {latent} stands for it, correlation {number(level.correlation[concept])}"
    )
    lines = [f"<b>{esc_plotly(level.name)}/{concept}</b>", stands]
    others = [str(one) for one in twins if one != concept]
    if others:
        lines.append(f"told apart from {', '.join(others[:6])} only as a block")
    return "<br>".join(lines)


def _layout(known: KnownGraph, places: Places, title: tuple[str, str]) -> dict[str, Any]:
    bands, names = [], []
    for at, level in enumerate(known.levels):
        own = places.y[places.starts[at] : places.starts[at + 1]]
        half = float(np.abs(own - at).max(initial=0.0)) + 0.07
        bands.append(band(at - half, at + half))
        names.append(
            {
                "xref": "paper", "yref": "y", "x": 0, "y": at, "xanchor": "right", "xshift": -6, "yanchor": "middle",
                "showarrow": False, "font": {"size": 11}, "text": f"<b>{esc_plotly(level.name, 8)}</b>",
            }
        )  # fmt: skip
    said = f"<b>{esc_plotly(title[0])}</b><br>{esc_plotly(title[1])}"
    return {
        "title": {
            "text": said, "font": {"size": 12}, "x": 0, "xref": "container", "xanchor": "left", "yref": "paper", "y": 1,
            "yanchor": "bottom", "pad": {"b": 12, "l": 4},
        },
        "height": HEIGHT,
        "margin": {"l": GUTTER, "r": 10, "t": 50, "b": 34},
        "xaxis": {"visible": False, "range": [-0.01, 1.01], "zeroline": False, "fixedrange": True},
        "yaxis": {
            "visible": False, "range": [-0.28, len(known.levels) - 1 + 0.28], "zeroline": False, "fixedrange": True,
        },
        "shapes": bands,
        "annotations": names,
        "hovermode": "closest",
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.01, "yanchor": "top"},
    }  # fmt: skip
