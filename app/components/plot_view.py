"""Any plotly figure, drawn by the plotly.js of the installed plotly package."""

from __future__ import annotations

from typing import Any, ClassVar

from app.components.base import Drawn


class PlotlyView(Drawn):
    """Value: a plotly figure as plain JSON, `{data, layout}`; see `figure_value` for a figure object."""

    source: ClassVar[str] = "plot_view"
    needs_plotly: ClassVar[bool] = True


def figure_value(figure: Any, *, label: str = "", key: str = "") -> dict[str, Any]:
    """A plotly figure (an object with `to_plotly_json`, or a dictionary) as the value of a `PlotlyView`.

    `label` is read out instead of the picture; the same `key` keeps zoom and pan between two figures.
    """
    if not isinstance(figure, dict):
        import json

        figure = json.loads(figure.to_json())
    return {"data": figure.get("data", []), "layout": figure.get("layout", {}), "label": label, "key": key}
