"""The picture of an atlas with the concepts of one graph, as plotly JSON: plain dicts and lists, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from concept_graphs.edge_lines import UNDECIDED
from concept_graphs.figure import HALO, INK, LEVEL_COLOURS, WIDE
from concept_graphs.hovers import node_hover
from concept_graphs.placing import Anchor, placed_beside
from concept_graphs.text import esc_plotly

if TYPE_CHECKING:
    from concept_graphs.atlas import Atlas
    from concept_graphs.graph import ConceptGraph

GAP = 0.06  # between two maps, in units of a map's side
NAMED = 0.08  # room for the name of a map above it
MARGIN = 0.03  # of a map's side
SQUARE = 280  # pixels of a map on a narrow page
HEIGHT = 420  # pixels of a picture of usual size, for the labels


Labels = tuple[dict[int, str], dict[int, str]]


class Spot(NamedTuple):
    """Left and lower end of a map in the picture, or its sides."""

    x: float
    y: float


def atlas_figure(graph: ConceptGraph, atlas: Atlas, width: int = 1000) -> dict[str, Any]:
    """The atlas as {"data", "layout", "links"} for the component that draws graphs.

    Every latent is a small point; a concept of the graph is a larger one with its id in `ids` and `customdata`.
    Maps stand side by side, on a narrow page one above the other. There are no links: only nearness counts here.
    """
    wide = width >= WIDE
    spots = _spots(len(atlas.maps), wide)
    places = _places(atlas, spots)
    top = max(spot.y for spot in spots) + 1 + NAMED
    right = max(spot.x for spot in spots) + 1
    data = [_latents(graph, atlas, name, places[name]) for levels in atlas.maps for name in levels]
    data += _concepts(graph, atlas, places, Spot(width / right, (_height(atlas, wide) or HEIGHT) / top))
    return {"data": data, "layout": _layout(graph, atlas, spots, Spot(right, top), wide), "links": []}


def _spots(count: int, wide: bool) -> list[Spot]:
    if wide:
        return [Spot(at * (1 + GAP), 0.0) for at in range(count)]
    return [Spot(0.0, (count - 1 - at) * (1 + GAP + NAMED)) for at in range(count)]


def _places(atlas: Atlas, spots: list[Spot]) -> dict[str, np.ndarray]:
    """Level to `latent 2`, in units of a map's side."""
    found = {}
    for levels, spot in zip(atlas.maps, spots, strict=True):
        for name in levels:
            found[name] = _placed(atlas, name) + spot
    return found


def _placed(atlas: Atlas, name: str) -> np.ndarray:
    """A level inside its map, `latent 2`, a little off its edge."""
    points = atlas.points[name]
    return MARGIN + (1 - 2 * MARGIN) * np.array([points.x, points.y], dtype=np.float64).T.reshape(-1, 2)


def _height(atlas: Atlas, wide: bool) -> int | None:
    """Pixels that maps one above the other need; None where the page's own height does."""
    return None if wide or len(atlas.maps) == 1 else SQUARE * len(atlas.maps)


def _colour(graph: ConceptGraph, name: str) -> str:
    """A level's colour in the graph; grey for one the graph has not."""
    known = [level.name for level in graph.meta.levels]
    return LEVEL_COLOURS[known.index(name) % len(LEVEL_COLOURS)] if name in known else f"rgb({UNDECIDED})"


def _latents(graph: ConceptGraph, atlas: Atlas, name: str, places: np.ndarray) -> dict[str, Any]:
    """The latents of a level that are no concepts of the graph."""
    latent = atlas.points[name].latent
    rest = [at for at, one in enumerate(latent) if f"{name}/{one}" not in graph]
    return {
        "type": "scattergl",
        "mode": "markers",
        "name": esc_plotly(name),
        "legendgroup": esc_plotly(name),
        "showlegend": False,
        "x": places[rest, 0].round(4).tolist(),
        "y": places[rest, 1].round(4).tolist(),
        "customdata": [latent[at] for at in rest],
        "hovertemplate": f"{esc_plotly(name)}/%{{customdata}}<br>no concept of this graph<extra></extra>",
        "marker": {"size": 3.5, "color": _colour(graph, name), "opacity": 0.3},
    }


def _concepts(graph: ConceptGraph, atlas: Atlas, places: Mapping[str, np.ndarray], size: Spot) -> list[dict[str, Any]]:
    """One trace of concepts per level; `size`: pixels of a map's sides."""
    at = {f"{name}/{one}": row for name in atlas.points for row, one in enumerate(atlas.points[name].latent)}
    nodes = [(row, node) for row, node in enumerate(graph.nodes) if node.id in at]
    inside = {node.id: _placed(atlas, node.level)[at[node.id]] for _, node in nodes}
    texts, sides = _labels(graph, atlas, inside, size)
    traces = []
    for name in (level for levels in atlas.maps for level in levels):
        own = [(row, node) for row, node in nodes if node.level == name]
        ids = [node.id for _, node in own]
        spot = places[name][[at[key] for key in ids]]
        traces.append(
            {
                "type": "scattergl",
                "mode": "markers+text",
                "name": f"{esc_plotly(name)}, {len(own):,} concepts of {len(atlas.points[name].latent):,} latents",
                "legendgroup": esc_plotly(name),
                "ids": ids,
                "customdata": ids,
                "x": spot[:, 0].round(4).tolist(),
                "y": spot[:, 1].round(4).tolist(),
                "text": [texts.get(row, "") for row, _ in own],
                "textposition": [sides.get(row, "middle right") for row, _ in own],
                "textfont": {"size": 11, "shadow": HALO},
                "hovertext": [node_hover(graph, node) for _, node in own],
                "hovertemplate": "%{hovertext}<extra></extra>",
                "marker": {
                    "size": 8,
                    "color": _colour(graph, name),
                    "opacity": 1,
                    "line": {"color": f"rgb({UNDECIDED})", "width": 0.8},
                },
            }
        )
    return traces


def _labels(graph: ConceptGraph, atlas: Atlas, places: Mapping[str, np.ndarray], size: Spot) -> Labels:
    """Texts and their sides by node row: of the best connected concepts, inside their map, where they meet nothing."""
    pull = np.zeros(len(graph.nodes))
    for end in graph.ends:
        np.add.at(pull, end, graph.strength * graph.confirmed + 1e-6)
    texts: dict[int, str] = {}
    sides: dict[int, str] = {}
    for levels in atlas.maps:
        anchors = []
        for key, (x, y) in places.items():
            if key.partition("/")[0] in levels:
                row = graph.position(key)
                label = graph.nodes["label"][row]
                anchors.append(Anchor(row=row, x=float(x), y=float(y), text=label, pull=float(pull[row])))
        found = placed_beside(anchors, round(size.x), size.y)
        texts |= found[0]
        sides |= found[1]
    return texts, sides


def _layout(graph: ConceptGraph, atlas: Atlas, spots: list[Spot], end: Spot, wide: bool) -> dict[str, Any]:
    titles = [_title(levels, spot) for levels, spot in zip(atlas.maps, spots, strict=True)]
    return {
        "font": {"color": INK, "size": 12, "family": "system-ui, -apple-system, Segoe UI, sans-serif"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "autosize": True,
        "xaxis": {"visible": False, "range": [-0.02, end.x + 0.02], "zeroline": False},
        "yaxis": {"visible": False, "range": [-0.02, end.y], "zeroline": False},
        "shapes": [_ground(spot) for spot in spots],
        "annotations": titles if len(titles) > 1 else [],
        "hovermode": "closest",
        "hoverdistance": 12,
        "hoverlabel": {"align": "left", "font": {"size": 12}},
        "dragmode": "pan",
        "clickmode": "event",
        "showlegend": True,
        "legend": {
            "orientation": "h", "x": 0, "xanchor": "left", "y": -0.01, "yanchor": "top", "itemsizing": "constant",
            "bgcolor": "rgba(0,0,0,0)",
        },
        "uirevision": f"atlas of {graph.meta.name}",
        "meta": {"said": caption(graph, atlas), "sideways": False, "free": True, "height": _height(atlas, wide)},
    }  # fmt: skip


def caption(graph: ConceptGraph, atlas: Atlas) -> str:
    """What the picture shows, what it leaves out, and what nearness means."""
    placed = {f"{name}/{one}" for name, points in atlas.points.items() for one in points.latent}
    shown = sum(key in placed for key in graph.nodes["id"])
    dead = sum(atlas.left_out.values())
    said = f"{shown:,} of {len(graph.nodes):,} concepts among {len(placed):,} latents"
    said += f" ({dead:,} more are dead or carry less)" if dead else ""
    maps = (
        "one map, because the levels' decoder rows lie in one space"
        if len(atlas.maps) == 1
        else f"{len(atlas.maps)} maps, because levels whose decoder rows share no space cannot be compared"
    )
    return f"{said}; {maps}. Near points write alike; distances between clusters mean nothing (UMAP, cosine)."


def _ground(spot: Spot) -> dict[str, Any]:
    return {
        "type": "rect", "xref": "x", "yref": "y", "layer": "below", "line": {"width": 0},
        "x0": spot.x, "x1": spot.x + 1, "y0": spot.y, "y1": spot.y + 1, "fillcolor": "rgba(128,132,140,0.07)",
    }  # fmt: skip


def _title(levels: list[str], spot: Spot) -> dict[str, Any]:
    return {
        "xref": "x", "yref": "y", "x": spot.x, "y": spot.y + 1, "xanchor": "left", "yanchor": "bottom",
        "showarrow": False, "font": {"size": 11}, "text": f"<b>{esc_plotly(', '.join(levels), 60)}</b>",
    }  # fmt: skip
