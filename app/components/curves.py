"""Curves of a run: one small figure per quantity, one line per level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from concept_graphs.text import esc_plotly

MOST_POINTS = 400
COLOURS = ("#3f90c9", "#1b9e77", "#e08a1e", "#b565a7", "#8a8f2a", "#6f74c4")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


class Quantity(NamedTuple):
    """A logged quantity: its name in the metrics, its title with the better direction, the axis range."""

    name: str
    title: str
    log_axis: bool = False
    low: float | None = None
    high: float | None = None


QUANTITIES = (
    Quantity("loss", "Loss (lower is better)", log_axis=True),
    Quantity("l0", "L0: active latents per row", low=0),
    Quantity("explained_variance", "Explained variance, training batch (higher is better)", high=1),
    Quantity("dead", "Dead latents, share (lower is better)", low=0, high=1),
)


def series(rows: Sequence[Mapping[str, Any]], quantity: str) -> dict[str, tuple[list[int], list[float | None]]]:
    """Steps and values of a quantity by level: `low.loss` is the loss of `low`, `loss` alone that of ''.

    At most 400 points each, the last one always among them.
    """
    found: dict[str, tuple[list[int], list[float | None]]] = {}
    for row in rows:
        for name, value in row.items():
            level, _, last = name.rpartition(".")
            if last == quantity:
                steps, values = found.setdefault(level, ([], []))
                steps.append(row["step"])
                values.append(value)
    return {level: (thinned(steps), thinned(values)) for level, (steps, values) in found.items()}


def thinned(values: list[Any]) -> list[Any]:
    """Every so-manieth value, and the last."""
    stride = -(-len(values) // (MOST_POINTS - 1)) if len(values) > MOST_POINTS else 1
    kept = values[::stride]
    return kept if (len(values) - 1) % stride == 0 else [*kept, values[-1]]


def curve_figure(rows: Sequence[Mapping[str, Any]], quantity: Quantity, key: str = "") -> dict[str, Any]:
    """The value of a `PlotlyView`; without data when the run does not log this quantity."""
    lines = series(rows, quantity.name)
    last = ", ".join(f"{level or 'run'} {ys[-1]:.4g}" for level, (_, ys) in lines.items() if ys[-1] is not None)
    bounded = quantity.low is not None and quantity.high is not None
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines+markers" if len(xs) < 3 else "lines",
                "name": esc_plotly(level or "run"),
                "x": xs,
                "y": ys,
                "line": {"color": COLOURS[n % len(COLOURS)], "dash": DASHES[n % len(DASHES)], "width": 1.8},
                "hovertemplate": "step %{x:,}: %{y:.4g}",
            }
            for n, (level, (xs, ys)) in enumerate(lines.items())
        ],
        "layout": {
            "title": {"text": quantity.title, "font": {"size": 12}, "x": 0, "xanchor": "left", "y": 0.97},
            "height": 200,
            "margin": {"l": 46, "r": 8, "t": 28, "b": 30},
            "showlegend": len(lines) > 1,
            "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
            "xaxis": {"rangemode": "tozero", "nticks": 5},
            "yaxis": {
                "type": "log" if quantity.log_axis else "linear",
                "rangemode": "tozero" if quantity.low == 0 and not bounded else "normal",
                "nticks": 5,
            },
        },
        "label": f"{quantity.title}. Now: {last}." if last else quantity.title,
        "key": key,
    }
