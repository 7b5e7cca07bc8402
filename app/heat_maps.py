"""Heat maps and what figures of a grid share: scales, and numbers that can be read on them. Plain plotly JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Figure = dict[str, Any]
Stops = Sequence[tuple[float, tuple[int, int, int]]]

# From light to dark, so that grey prints tell it too; and from red over white to blue, readable to the colour-blind.
SHARE: Stops = (
    (0.0, (247, 251, 255)),
    (0.25, (198, 219, 239)),
    (0.5, (107, 174, 214)),
    (0.75, (33, 113, 181)),
    (1.0, (8, 48, 107)),
)
SIGNED: Stops = (
    (0.0, (178, 24, 43)),
    (0.25, (239, 138, 98)),
    (0.5, (247, 247, 247)),
    (0.75, (103, 169, 207)),
    (1.0, (33, 102, 172)),
)


def heat_trace(z: Sequence[Sequence[float | None]], stops: Stops, limits: tuple[float, float]) -> Figure:
    """Cells with a little room between them; the hover shows their `text`."""
    return {
        "type": "heatmap",
        "x": list(range(len(z[0]) if z else 0)),
        "y": list(range(len(z))),
        "z": [list(row) for row in z],
        "hovertemplate": "%{text}<extra></extra>",
        "hoverongaps": True,
        "colorscale": [[place, f"rgb{colour}"] for place, colour in stops],
        "zmin": limits[0],
        "zmax": limits[1],
        "xgap": 2,
        "ygap": 2,
        "showscale": False,
    }


def heat_axes(rows: Sequence[str], columns: Sequence[str]) -> Figure:
    """The axes of a heat map: names at the left, from above down, and below."""
    ticks = {"tickmode": "array", "fixedrange": True, "showgrid": False, "zeroline": False, "tickfont": {"size": 11}}
    across = {"tickvals": list(range(len(columns))), "ticktext": list(columns), "tickangle": -40}
    down = {"tickvals": list(range(len(rows))), "ticktext": list(rows), "autorange": "reversed"}
    return {"xaxis": ticks | across, "yaxis": ticks | down}


def cell_texts(
    values: Sequence[tuple[Any, Any, float]], stops: Stops, limits: tuple[float, float], *, signed: bool = False
) -> Figure:
    """A trace that writes each number of (x, y, number) into its cell, in black or white."""
    low, high = limits
    inks = [ink_on(colour_at(stops, (value - low) / (high - low))) for _, _, value in values]
    return {
        "type": "scatter",
        "mode": "text",
        "x": [x for x, _, _ in values],
        "y": [y for _, y, _ in values],
        "text": [short(value, signed=signed) for _, _, value in values],
        "textfont": {"size": 11, "color": inks},
        "hoverinfo": "skip",
        "showlegend": False,
        "cliponaxis": False,
    }


def short(value: float, *, signed: bool = False) -> str:
    """Two digits in as little room as there is: .83, 1.0, +.07."""
    text = f"{abs(value):.2f}"
    text = "1.0" if text == "1.00" else text.removeprefix("0")
    sign = "−" if value < 0 and text != ".00" else "+" if signed and text != ".00" else ""
    return sign + text


def colour_at(stops: Stops, share: float) -> tuple[int, int, int]:
    """The colour of a scale at a share of it from 0 to 1."""
    share = min(1.0, max(0.0, share))
    high = next(at for at, (place, _) in enumerate(stops) if share <= place)
    if high == 0:
        return stops[0][1]
    (start, first), (end, second) = stops[high - 1], stops[high]
    part = (share - start) / (end - start)
    red, green, blue = (round(a + part * (b - a)) for a, b in zip(first, second, strict=True))
    return red, green, blue


def ink_on(colour: tuple[int, int, int]) -> str:
    """Black or white, whichever stands out more: one of the two always has a contrast above 4.5."""
    parts = [level / 255 for level in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "#fff"


def figure_layout(title: str, height: int) -> Figure:
    margin = {"l": 20, "r": 10, "t": 58, "b": 20}
    heading = {
        "text": title, "font": {"size": 12.5}, "x": 0, "xref": "container", "xanchor": "left", "yref": "container",
        "y": 1, "yanchor": "top", "pad": {"t": 10, "l": 4},
    }  # fmt: skip
    return {"title": heading, "height": height, "margin": margin, "hovermode": "closest"}
