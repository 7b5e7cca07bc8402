"""The edges of a layered picture as plotly traces: hue by sign, dash by verdict, width by strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from concept_graphs import ring, timeline
from concept_graphs.hovers import edge_hover
from concept_graphs.strokes import CURVE, rounded, s_lines
from concept_graphs.tables import CONFIRMED
from concept_graphs.view import Shown

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph

SUPPORTS, INHIBITS, UNDECIDED = "63,126,196", "204,80,62", "128,132,140"
BIN_WIDTHS, BIN_ALPHAS = (0.8, 1.3, 2.1, 3.2), (0.30, 0.42, 0.58, 0.80)
CURVE_LIMIT = 500


def edge_traces(graph: ConceptGraph, shown: Shown, x: np.ndarray, y: np.ndarray, kind: str) -> list[dict[str, Any]]:
    """Lines grouped by verdict, sign and |effect| bin, the faintest first so that strong edges lie on top."""
    if not len(shown.edges):
        return []
    bins = _bins(graph.strength[shown.edges])
    groups: dict[tuple[int, str, str], list[int]] = {}
    for b, row in zip(bins, shown.edges, strict=True):
        verdict = graph.edges["verdict"][row]
        confirmed = verdict in CONFIRMED
        sense = _sense(graph.edges["effect"][row], graph.meta.activated) if confirmed else ""
        groups.setdefault((int(b) if confirmed else -1, verdict, sense), []).append(int(row))
    curved = kind == "scatter" and len(shown.edges) <= CURVE_LIMIT and not ring.is_ring(graph)
    t = CURVE if curved else CURVE[[0, -1]]
    shape = {"shape": "spline"} if curved else {}
    named: set[str] = set()
    traces: list[dict[str, Any]] = []
    for (b, verdict, sense), rows in sorted(groups.items(), reverse=True):
        name = f"{verdict}, {sense}" if sense else verdict
        traces.append(
            {
                "type": kind,
                "mode": "lines",
                "name": name,
                "legendgroup": name,
                "showlegend": name not in named,
                **_lines(graph, rows, x, y, t),
                "line": ring.LINE if ring.is_ring(graph) else _line_style(b, verdict, sense) | shape,
                "hoverinfo": "skip",
            }
        )
        named.add(name)
    return traces[::-1]


def _lines(graph: ConceptGraph, rows: list[int], x: np.ndarray, y: np.ndarray, t: np.ndarray) -> dict[str, Any]:
    """Points of the lines from source to target: up, or along the time axis."""
    source, target = (np.stack([x[end[rows]], y[end[rows]]], axis=1) for end in graph.ends)
    return s_lines(source, target, t, sideways=timeline.is_timeline(graph))


def _line_style(b: int, verdict: str, sense: str) -> dict[str, Any]:
    """Hue by sign, dash by verdict, width and opacity by |effect| bin (-1: not confirmed)."""
    colour = {"supports": SUPPORTS, "inhibits": INHIBITS}.get(sense, UNDECIDED)
    width, alpha = (BIN_WIDTHS[b], BIN_ALPHAS[b]) if b >= 0 else (0.8, 0.35)
    dash = {"composed": "solid", "generated": "solid", "carried": "dash"}.get(verdict, "dot")
    return {"color": f"rgba({colour},{alpha})", "width": width, "dash": dash}


def midpoints(graph: ConceptGraph, shown: Shown, x: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    """Invisible markers half-way along each edge: hovering them shows the evidence."""
    if not len(shown.edges):
        return []
    source, target = (end[shown.edges] for end in graph.ends)
    rows = [graph.edges.row(int(i)) for i in shown.edges]
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "evidence",
            "showlegend": False,
            "x": rounded((x[source] + x[target]) / 2),
            "y": rounded((y[source] + y[target]) / 2),
            "customdata": [f"{edge.source}>{edge.target}" for edge in rows],
            "hovertext": [edge_hover(graph, edge) for edge in rows],
            "hovertemplate": "%{hovertext}<extra></extra>",
            "marker": {"size": 9, "opacity": 0, "color": f"rgb({UNDECIDED})"},
        }
    ]


def _sense(effect: float | None, activated: bool) -> str:
    """What supports lowers the other concept when it is taken away, and raises it when it is given."""
    return "supports" if effect is not None and effect * (1 if activated else -1) > 0 else "inhibits"


def _bins(strength: np.ndarray) -> np.ndarray:
    """Quartile of |effect| among the drawn edges, 0 (weakest) to 3."""
    cuts = np.quantile(strength, [0.25, 0.5, 0.75])
    return np.searchsorted(cuts, strength, side="right").clip(0, len(BIN_WIDTHS) - 1)
