"""Figures of one cell of a grid: which latent follows which factor, what moving one does. Plain plotly JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.heat_maps import SHARE, SIGNED, Figure, cell_texts, figure_layout, heat_axes, heat_trace
from concept_graphs.text import esc_plotly, number

COLOURS = ("#8b929c", "#3f90c9", "#e08a1e")
MOST_SHOWN = 16  # latents that a map of matches shows: numbers of more do not fit into their cells
MOST_BARS = 200


def match_figure(correlation: Sequence[Sequence[float]], factors: Sequence[str], latents: Sequence[str]) -> Figure:
    """|Correlation| of factors, down, with latents, across; of many latents those that follow a factor best."""
    best = sorted(range(len(latents)), key=lambda at: -max(row[at] for row in correlation))[:MOST_SHOWN]
    shown = sorted(best)
    z = [[row[at] for at in shown] for row in correlation]
    heat = heat_trace(z, SHARE, (0.0, 1.0))
    heat["text"] = [
        [f"{esc_plotly(factor)} and latent {esc_plotly(latents[at])}: {number(row[at])}" for at in shown]
        for factor, row in zip(factors, correlation, strict=True)
    ]
    numbers = [(x, y, value) for y, row in enumerate(z) for x, value in enumerate(row)]
    left_out = f"; {len(shown)} of {len(latents)} latents" if len(shown) < len(latents) else ""
    title = f"<b>|Correlation|</b> of factors with latents, held-out rows{left_out}"
    axes = heat_axes([esc_plotly(name, 20) for name in factors], [esc_plotly(latents[at], 20) for at in shown])
    layout = figure_layout(title, 150 + 26 * len(factors)) | axes
    return {"data": [heat, cell_texts(numbers, SHARE, (0.0, 1.0))], "layout": layout}


def pictures_figure(addresses: Sequence[str], labels: Sequence[str], title: str) -> Figure:
    """Pictures side by side, a label under each."""
    n = len(addresses)
    images = [
        {
            "source": address,
            "xref": "x",
            "yref": "y",
            "x": at,
            "y": 0.48,
            "xanchor": "center",
            "sizex": 0.96,
            "sizey": 0.96,
            "sizing": "contain",
            "layer": "above",
        }
        for at, address in enumerate(addresses)
    ]
    points: Figure = {"type": "scatter", "mode": "markers", "x": list(range(n)), "y": [0] * n, "hoverinfo": "skip"}
    points |= {"marker": {"opacity": 0}, "showlegend": False}
    layout = figure_layout(title, 200) | {
        "images": images,
        "xaxis": {
            "range": [-0.5, n - 0.5],
            "tickvals": list(range(n)),
            "ticktext": [esc_plotly(label) for label in labels],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
            "ticklen": 0,
        },
        "yaxis": {"visible": False, "range": [-0.5, 0.5], "fixedrange": True},
    }
    layout["margin"] = {"l": 4, "r": 4, "t": 34, "b": 24}
    return {"data": [points], "layout": layout}


def bars_figure(series: Mapping[str, Sequence[float]], title: str) -> Figure:
    """Numbers of several rows dimension by dimension."""
    data = [
        {
            "type": "bar",
            "name": esc_plotly(name),
            "x": list(range(1, 1 + len(values[:MOST_BARS]))),
            "y": list(values[:MOST_BARS]),
            "marker": {"color": COLOURS[at % len(COLOURS)]},
            "hovertemplate": f"{esc_plotly(name)}, dimension %{{x}}: %{{y:.3f}}<extra></extra>",
        }
        for at, (name, values) in enumerate(series.items())
    ]
    layout = figure_layout(title, 260) | {
        "barmode": "group",
        "xaxis": {"fixedrange": True, "dtick": 1 if all(len(values) <= 24 for values in series.values()) else None},
        "yaxis": {"fixedrange": True},
        "legend": {"orientation": "h", "x": 0, "y": -0.14, "yanchor": "top"},
    }
    return {"data": data, "layout": layout}


def steps_figure(rows: Sequence[Sequence[float]], labels: Sequence[str]) -> Figure:
    """What is decoded at each step, down, dimension by dimension, across: its change from the step 0."""
    middle = rows[labels.index("0")][:MOST_BARS]
    z = [[value - usual for value, usual in zip(row, middle, strict=False)] for row in rows]
    most = max([1e-6, *(abs(value) for row in z for value in row)])
    heat = heat_trace(z, SIGNED, (-most, most))
    heat["text"] = [
        [f"{label} sd, dimension {at + 1}: {number(value)} more" for at, value in enumerate(row)]
        for label, row in zip(labels, z, strict=True)
    ]
    columns = [str(at + 1) for at in range(len(middle))] if len(middle) <= 24 else []
    axes = heat_axes([f"{label} sd" for label in labels], columns)
    axes["xaxis"]["tickangle"] = 0
    heat |= {"showscale": True, "colorbar": {"thickness": 10, "len": 0.9}}
    return {"data": [heat], "layout": figure_layout("<b>Change of x</b> from −3 to +3 sd", 260) | axes}
