"""A grid as pictures: heat maps, the curve along the weights, and what the variance is made of. Plain plotly JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.grid_words import above, below, gain
from app.grids import ALONE, MEASURES, Opened, Pair, in_words, marked
from app.heat_maps import SHARE, SIGNED, Figure, Stops, cell_texts, figure_layout, heat_axes, heat_trace
from app.suites.rows import Row
from concept_graphs.text import esc_plotly, number, percent, with_interval

LINES = {"mcc": ("#3f90c9", "solid"), "r2": ("#e08a1e", "dash")}
OUTLINE = "#767d87"  # readable on white and on near-black
LEAST_RANGE = 0.05  # of gains: smaller ones are not blown up to full colour
FILLED = 0.9  # of the room of a part, by its bars
PARTS = ("task", "constraint", "interaction", "world", "left")


def heat_figure(found: Opened, measure: str) -> Figure:
    """A number of every pair, on the scale from 0 to 1; the hover holds the interval, or why there is no number."""
    rows = {pair: found.row(*pair, measure) for pair in _every(found, found.file.constraints)}
    values = {pair: None if row is None else row.value for pair, row in rows.items()}
    hovers = {
        pair: _missing(found, pair) if row is None else f"{MEASURES[measure]} {_said(row)}"
        for pair, row in rows.items()
    }
    title = f"<b>{MEASURES[measure]}</b> ↑"
    return _heat(
        found.file.tasks, found.file.constraints, values, hovers, SHARE, (0.0, 1.0), title, told=found.file.told
    )


def gain_figure(found: Opened, measure: str = "mcc") -> Figure:
    """What constraints gain over the task alone; cells whose interval excludes zero are framed."""
    tasks, columns = found.file.tasks, [name for name in found.file.constraints if name != ALONE]
    if not columns:  # the task alone was trained: there is nothing to gain
        return {"data": [], "layout": {}}
    rows = {pair: found.row(*pair, f"{measure}_gained") for pair in _every(found, columns)}
    values = {pair: None if row is None else row.value for pair, row in rows.items()}
    hovers = {pair: _missing(found, pair) if row is None else f"gain {gain(row)}" for pair, row in rows.items()}
    most = max([LEAST_RANGE, *(abs(value) for value in values.values() if value is not None)])
    title = f"<b>{MEASURES[measure]} gained over the task alone</b><br>framed: the interval excludes zero"
    figure = _heat(tasks, columns, values, hovers, SIGNED, (-most, most), title, signed=True, told=found.file.told)
    clear = [pair for pair, row in rows.items() if above(row) or below(row)]
    figure["layout"]["shapes"] = [_frame(columns.index(c), tasks.index(t)) for t, c in clear]
    return figure


def _said(row: Row) -> str:
    return with_interval(row.value, row.low, row.high) if row.seeds > 1 else number(row.value)


def _missing(found: Opened, pair: Pair) -> str:
    return found.reasons.get(pair, "not measured")


def curve_figure(found: Opened, pair: Pair, alone: Mapping[str, float]) -> Figure:
    """MCC and R² of a pair along the weights that were tried, beside the task `alone` on the same worlds."""
    task, constraint = pair
    prefix = f"{task}.{constraint}.at."
    weights = sorted(
        {float(name.removeprefix(prefix).rpartition(".")[0]) for name in found.rows if name.startswith(prefix)}
    )
    labels, data = [f"{weight:g}" for weight in weights], []
    for measure, called in MEASURES.items():
        colour, dash = LINES[measure]
        ys = [found.value(task, constraint, "at", label, measure) for label in labels]
        line = {"color": colour, "dash": dash, "width": 2}
        data.append(_line(called, labels, ys, line, mode="lines+markers"))
        if measure in alone:
            flat = {"color": colour, "dash": "dot", "width": 1.3}
            data.append(_line(f"{called}, task alone", labels, [alone[measure]] * len(labels), flat, mode="lines"))
    chosen = found.value(task, constraint, "weight")
    shapes = []
    if chosen is not None and f"{chosen:g}" in labels:
        at = labels.index(f"{chosen:g}")
        shapes = [_upright(at)]
    worlds = max((row.seeds for name, row in found.rows.items() if name.startswith(prefix)), default=0)
    counted = "the first world" if worlds == 1 else f"means over the first {worlds} worlds"
    named = f"{esc_plotly(in_words(constraint))} under {esc_plotly(in_words(task))}"
    said = f"<b>{named}</b><br>{counted}; upright: the chosen weight"
    return {
        "data": data,
        "layout": figure_layout(said, 300)
        | {
            "xaxis": {
                "type": "category",
                "title": {"text": "weight (1 pulls as hard as the task)", "font": {"size": 11}},
                "fixedrange": True,
            },
            "yaxis": {"range": [0, 1.04], "fixedrange": True},
            "shapes": shapes,
            "legend": {"orientation": "h", "x": 0, "y": -0.38, "yanchor": "top"},
        },
    }


def shares_figure(found: Opened) -> Figure:
    """What the variance of MCC and of R² is made of, and where chance ends for the interaction."""
    data: list[Figure] = []
    for measure, called in MEASURES.items():
        rows = [found.row("variance", measure, part) for part in PARTS]
        if any(row is None for row in rows):
            continue
        values = [row.value for row in rows if row is not None]
        data.append(
            {
                "type": "bar",
                "name": called,
                "x": list(PARTS),
                "y": values,
                "text": [percent(value, 0) for value in values],
                "textposition": "outside",
                "textfont": {"size": 9},  # two of them fit over a pair of bars on a phone
                "textangle": 0,
                "cliponaxis": False,
                "hovertemplate": f"{called}, %{{x}}: %{{y:.1%}}<extra></extra>",
                "marker": {"color": LINES[measure][0]},
            }
        )
    shapes, notes = [], []
    for at, bars in enumerate(data):
        measure = next(name for name, called in MEASURES.items() if called == bars["name"])
        row, p = found.row("variance", measure, "interaction"), found.value("variance", measure, "p")
        assert row is not None
        notes.append(f"{bars['name']}: p = {number(p, 3)}")
        if row.baseline is not None:
            left = PARTS.index("interaction") - FILLED / 2 + at * FILLED / len(data)
            shapes.append(_flat(left, left + FILLED / len(data), row.baseline))
    said = f"<b>Shares of variance</b><br>interaction: {', '.join(notes)}<br>dashed: 95 % of chance stays below"
    layout = figure_layout(said, 310) | {
        "margin": {"l": 20, "r": 10, "t": 76, "b": 20},
        "barmode": "group",
        "bargap": 1 - FILLED,
        "shapes": shapes,
        "xaxis": {"fixedrange": True, "tickangle": 0, "tickfont": {"size": 10}},
        "yaxis": {"tickformat": ".0%", "rangemode": "tozero", "fixedrange": True},
        "legend": {"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top"},
    }
    return {"data": data, "layout": layout}


def _every(found: Opened, columns: Sequence[str]) -> list[Pair]:
    return [(task, constraint) for task in found.file.tasks for constraint in columns]


def plan_figure(
    tasks: Sequence[str], columns: Sequence[str], marks: Mapping[Pair, tuple[str, str]], told: Mapping[str, str]
) -> Figure:
    """Which pairs can be had: a tick, or for those in `marks` the number of the reason, which the hover holds."""
    values: dict[Pair, float | None] = {(t, c): 0.0 if (t, c) in marks else 0.3 for t in tasks for c in columns}
    hovers = {pair: marks[pair][1] if pair in marks else "can be had" for pair in values}
    title = "<b>Pairs</b>; numbers: reasons below"
    figure = _heat(tasks, columns, values, hovers, SHARE, (0.0, 1.0), title, told=told)
    figure["data"][1]["text"] = [marks[pair][0] if pair in marks else "✓" for pair in values]
    return figure


def _heat(
    tasks: Sequence[str],
    columns: Sequence[str],
    values: Mapping[Pair, float | None],
    hovers: Mapping[Pair, str],
    stops: Stops,
    limits: tuple[float, float],
    title: str,
    *,
    signed: bool = False,
    told: Mapping[str, str] | None = None,
) -> Figure:
    """Tasks down, constraints across; what has no value is empty, and its hover says why. `told`: what of the truth
    parts are told in training, which stands beside their names."""
    known = told or {}

    def hover(pair: Pair) -> str:
        named = f"<b>{' × '.join(esc_plotly(marked(name, known), 80) for name in pair)}</b>"
        return f"{named}<br>{esc_plotly(hovers[pair], 200)}"

    heat = heat_trace([[values[task, column] for column in columns] for task in tasks], stops, limits)
    heat["text"] = [[hover((task, column)) for column in columns] for task in tasks]
    places = {pair: (columns.index(pair[1]), tasks.index(pair[0])) for pair in values}
    numbers = [(*places[pair], value) for pair, value in values.items() if value is not None]
    gaps = [places[pair] for pair, value in values.items() if value is None]
    data = [heat, cell_texts(numbers, stops, limits, signed=signed), _gaps(gaps)]
    down = [_broken(name) + _beneath(name, known) for name in tasks]
    across = [esc_plotly(in_words(name)) + _beneath(name, known) for name in columns]
    axes = heat_axes(down, across)
    return {"data": data, "layout": figure_layout(title, 150 + 34 * len(tasks)) | axes}


def _broken(name: str) -> str:
    """A name on two lines where it has two words: the labels at the left leave the map its room on a phone."""
    return esc_plotly(in_words(name)).replace(" ", "<br>", 1)


def _beneath(name: str, told: Mapping[str, str]) -> str:
    """A line of its own for what a part is told."""
    return f"<br><i>told {esc_plotly(told[name])}</i>" if name in told else ""


def _gaps(places: Sequence[tuple[int, int]]) -> Figure:
    return {
        "type": "scatter",
        "mode": "text",
        "x": [x for x, _ in places],
        "y": [y for _, y in places],
        "text": ["–"] * len(places),
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _frame(x: int, y: int) -> Figure:
    line = {"color": OUTLINE, "width": 3}
    return {"type": "rect", "x0": x - 0.47, "x1": x + 0.47, "y0": y - 0.46, "y1": y + 0.46, "line": line}


def _upright(at: float) -> Figure:
    line = {"color": OUTLINE, "width": 1.5, "dash": "dot"}
    return {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def _flat(left: float, right: float, y: float) -> Figure:
    return {
        "type": "line",
        "x0": left,
        "x1": right,
        "y0": y,
        "y1": y,
        "line": {"color": OUTLINE, "width": 2, "dash": "dash"},
    }


def _line(name: str, xs: Sequence[str], ys: Sequence[Any], line: Figure, *, mode: str) -> Figure:
    return {
        "type": "scatter",
        "mode": mode,
        "name": name,
        "x": list(xs),
        "y": list(ys),
        "line": line,
        "hovertemplate": f"{name} at weight %{{x}}: %{{y:.3f}}<extra></extra>",
    }
