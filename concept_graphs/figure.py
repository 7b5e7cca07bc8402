"""The layered picture of a graph as plotly JSON: plain dicts and lists, no plotly import, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from concept_graphs import grouping, ring, timeline
from concept_graphs.edge_lines import CURVE_LIMIT, UNDECIDED, edge_traces, midpoints
from concept_graphs.groups import Groups
from concept_graphs.hovers import node_hover
from concept_graphs.layout import in_turn, storeys
from concept_graphs.placing import Anchor, placed_beside, placed_labels
from concept_graphs.strokes import band, rounded
from concept_graphs.text import esc_plotly
from concept_graphs.view import Shown, ViewSpec, select

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph

__all__ = ["ViewSpec", "layered_figure"]

LEVEL_COLOURS = ("#3f90c9", "#1b9e77", "#e08a1e", "#b565a7", "#8a8f2a", "#6f74c4")
# A halo in the colour of the page, where the page names one; without it, none.
HALO = ", ".join(["0 0 3px var(--body-background-fill, transparent)"] * 3)
INK = "#767d87"  # readable on white and on near-black; the page may set its own
WEBGL_LIMIT = 2000
WIDE = 640  # pixels from which level names get a gutter of their own
GUTTER, NARROW_GUTTER = 150, 52
FEW_LEVELS = 8  # above it a storey is too low for three lines


def layered_figure(graph: ConceptGraph, view: ViewSpec | None = None, groups: Groups | None = None) -> dict[str, Any]:
    """The graph as {"data": [...], "layout": {...}} for ``Plotly.react``.

    Nodes carry their concept id in `ids` and `customdata`; edges are lines without hover plus, in small
    pictures, invisible midpoints that show the evidence. ``layout.meta`` holds the caption and what is hidden.
    """
    view, groups = view or ViewSpec(), groups or Groups()
    shown = select(graph, view)
    x, y = _positions(graph, shown, view, groups)
    kind = "scattergl" if _webgl(view, shown) else "scatter"
    data = edge_traces(graph, shown, x, y, kind)
    if len(shown.edges) <= CURVE_LIMIT:
        data += midpoints(graph, shown, x, y)
    data += _node_traces(graph, shown, view, x, y, kind, grouping.group_names(graph, groups))
    layout = _layout(graph, view, shown, x, y)
    if timeline.is_timeline(graph) or ring.is_ring(graph):
        data += grouping.rings(graph, groups, shown.nodes, x, y)
    else:
        shapes, names = grouping.boxes(graph, groups, shown.nodes, x, y, _room(view))
        layout |= {"shapes": [*layout["shapes"], *shapes], "annotations": [*layout["annotations"], *names]}
    return {"data": data, "layout": layout}


def _webgl(view: ViewSpec, shown: Shown) -> bool:
    return view.renderer == "webgl" or (view.renderer == "auto" and len(shown.edges) > WEBGL_LIMIT)


def _visible_levels(graph: ConceptGraph, view: ViewSpec) -> list[int]:
    return [i for i, level in enumerate(graph.meta.levels) if not view.levels or level.name in view.levels]


def _positions(graph: ConceptGraph, shown: Shown, view: ViewSpec, groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    """Places of all node rows (NaN where hidden): the stored order, packed so that the shown ones fill the width."""
    if timeline.is_timeline(graph):
        return timeline.positions(graph, shown.nodes, _visible_levels(graph, view))
    stored = grouping.side_by_side(graph, groups, in_turn(graph))
    if ring.is_ring(graph):
        return ring.positions(graph, shown.nodes, stored)
    x = np.full(len(graph.nodes), np.nan)
    storey = {level: i for i, level in enumerate(_visible_levels(graph, view))}
    level = graph.level_index[shown.nodes]
    for k in np.unique(level):
        rows = shown.nodes[level == k]
        x[rows[np.argsort(stored[rows], kind="stable")]] = (np.arange(len(rows)) + 0.5) / len(rows)
    y = np.full(len(graph.nodes), np.nan)
    drawn = np.array([storey[k] for k in level], dtype=np.int64)
    y[shown.nodes] = storeys(drawn, x[shown.nodes], room=max(12, view.width // 17))
    return x, y


def _node_traces(
    graph: ConceptGraph,
    shown: Shown,
    view: ViewSpec,
    x: np.ndarray,
    y: np.ndarray,
    kind: str,
    group_of: Mapping[int, str],
) -> list[dict[str, Any]]:
    """One trace per level, so that each has its colour."""
    texts, sides = _labels(graph, shown, view, x, y)
    focus = set(view.focus)
    traces = []
    for k in _visible_levels(graph, view):
        rows = [int(i) for i in shown.nodes if graph.level_index[i] == k]
        if not rows:
            continue
        ids = [graph.nodes["id"][i] for i in rows]
        traces.append(
            {
                "type": kind,
                "mode": "markers+text",
                "name": esc_plotly(graph.meta.levels[k].name),
                "showlegend": False,
                "ids": ids,
                "customdata": ids,
                "x": rounded(x[rows]),
                "y": rounded(y[rows]),
                "text": [texts.get(i, "") for i in rows],
                "textposition": [sides.get(i, "top center") for i in rows],
                "textfont": {"size": 11, "shadow": HALO},
                "hovertext": [node_hover(graph, graph.nodes.row(i), group_of.get(i, "")) for i in rows],
                "hovertemplate": "%{hovertext}<extra></extra>",
                "cliponaxis": False,
                "marker": {
                    "color": LEVEL_COLOURS[k % len(LEVEL_COLOURS)],
                    "size": rounded(_sizes(graph.nodes.array("frequency")[rows], k), 1),
                    "line": {
                        "color": f"rgb({UNDECIDED})",
                        "width": [3 if key in focus else 0.8 for key in ids],
                    },
                    "opacity": 1,
                },
            }
        )
    return traces


def _labels(
    graph: ConceptGraph, shown: Shown, view: ViewSpec, x: np.ndarray, y: np.ndarray
) -> tuple[dict[int, str], dict[int, str]]:
    """Texts and text positions of the concepts that get a label: the most connected, without overlap."""
    if ring.is_ring(graph):
        return ring.labels(graph, shown.nodes, x, y)
    pull = np.zeros(len(graph.nodes))
    for end in graph.ends:
        np.add.at(pull, end[shown.edges], graph.strength[shown.edges] + 1e-6)
    for key in view.focus:
        if key in graph:
            pull[graph.position(key)] += 1e6
    levels = _visible_levels(graph, view)
    along = timeline.is_timeline(graph)
    left, right = timeline.span(graph, levels) if along else (0.0, 1.0)
    x = (x - left) / (right - left)
    anchors = [
        Anchor(row=int(i), x=float(x[i]), y=float(y[i]), text=graph.nodes["label"][i], pull=float(pull[i]))
        for i in shown.nodes
    ]
    if along:
        return placed_beside(anchors, _room(view), timeline.HEIGHT / max(len(timeline.lanes(graph, levels)), 1))
    return placed_labels(anchors, _room(view))


def _layout(graph: ConceptGraph, view: ViewSpec, shown: Shown, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    levels = _visible_levels(graph, view)
    if ring.is_ring(graph):
        frame = ring.frame(graph, shown.edges, x, y)
    else:
        frame = timeline.frame(graph, levels) if timeline.is_timeline(graph) else _frame(graph, view, shown, y, levels)
    below = 70 if timeline.is_timeline(graph) else 10
    return {
        "title": {
            "text": esc_plotly(shown.caption, 120), "font": {"size": 12},
            "x": 0, "pad": {"l": 10}, "xref": "container", "xanchor": "left", "y": 0.985, "yanchor": "top",
        },
        "font": {"color": INK, "size": 12, "family": "system-ui, -apple-system, Segoe UI, sans-serif"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 10 + (0 if ring.is_ring(graph) else _gutter(view)), "r": 10, "t": 30, "b": below},
        "autosize": True,
        **frame,
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "font": {"size": 12}},
        "dragmode": "pan",
        "clickmode": "event",
        "showlegend": True,
        "legend": {
            "orientation": "h", "x": 0, "xanchor": "left", "y": -0.01 if below == 10 else -0.13, "yanchor": "top",
            "itemsizing": "constant", "traceorder": "reversed", "bgcolor": "rgba(0,0,0,0)",
        },
        "uirevision": graph.meta.name,
        "meta": {
            "caption": shown.caption, "hidden": shown.hidden, "said": shown.said,
            "shown_nodes": len(shown.nodes), "shown_edges": len(shown.edges), "sideways": timeline.is_timeline(graph),
            "straight": ring.is_ring(graph),
        },
    }  # fmt: skip


def _frame(graph: ConceptGraph, view: ViewSpec, shown: Shown, y: np.ndarray, levels: list[int]) -> dict[str, Any]:
    """Axes, bands and names of a picture in storeys: parts of a plotly layout."""
    wide = view.width >= WIDE
    names, bands = [], []
    for storey, k in enumerate(levels):
        own = y[shown.nodes[graph.level_index[shown.nodes] == k]]
        half = float(np.abs(own - storey).max(initial=0.0)) + 0.06
        bands.append(band(storey - half, storey + half))
        names.append(_level_name(graph, k, storey, wide))
    return {
        "xaxis": {"visible": False, "range": [-0.01, 1.01], "zeroline": False},
        "yaxis": {"visible": False, "range": [-0.24, max(len(levels) - 1, 0) + 0.26], "zeroline": False},
        "shapes": bands,
        "annotations": names,
    }


def _gutter(view: ViewSpec) -> int:
    """Pixels left of the picture for the names of the levels."""
    return GUTTER if view.width >= WIDE else NARROW_GUTTER


def _room(view: ViewSpec) -> int:
    """Pixels across the picture itself."""
    return max(view.width - 20 - _gutter(view), 1)


def _level_name(graph: ConceptGraph, k: int, y: float, wide: bool) -> dict[str, Any]:
    """The name of a level in the gutter; with its hook point and kind of row where there is room."""
    level = graph.meta.levels[k]
    name = f"<b>{esc_plotly(level.name, 24 if wide else 8)}</b>"
    room = wide and len(graph.meta.levels) <= FEW_LEVELS
    more = f"<br>{esc_plotly(level.hook_point, 24)}<br>{esc_plotly(level.row, 24)}" if room else ""
    return {
        "xref": "paper", "yref": "y", "x": 0, "y": y, "xanchor": "right", "xshift": -8, "yanchor": "middle",
        "align": "right", "showarrow": False, "font": {"size": 11}, "text": name + more,
    }  # fmt: skip


def _sizes(frequency: np.ndarray, level: int) -> np.ndarray:
    """Marker diameters in pixels: higher levels larger, within a level by the logarithm of frequency, medium where
    that is unknown."""
    share = (np.log10(np.clip(np.nan_to_num(frequency, nan=1e-3), 1e-5, 1.0)) + 5) / 5
    return 6 + 2 * min(level, 3) + 8 * share**2
