"""A graph that displays itself in a notebook: plotly's own format, and a page of its own in a frame."""

from __future__ import annotations

import html
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from concept_graphs.figure import layered_figure
from concept_graphs.view import ViewSpec

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph

HEIGHT = 620


def mimebundle(graph: ConceptGraph, view: ViewSpec | None = None) -> dict[str, Any]:
    """The graph for IPython's display: a plotly figure where that is known, else an offline frame."""
    figure = layered_figure(graph, view or ViewSpec(width=900, renderer="svg"))
    figure["layout"]["height"] = HEIGHT
    return {
        "application/vnd.plotly.v1+json": figure,
        "text/html": framed(figure),
        "text/plain": repr(graph),
    }


def framed(figure: dict[str, Any]) -> str:
    """An iframe whose document holds plotly.js and the figure; nothing is requested from anywhere."""
    script = (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    data = json.dumps(figure, allow_nan=False).replace("<", "\\u003c")
    document = (
        '<!doctype html><meta charset="utf-8"><body style="margin:0"><div id="graph"></div>'
        f"<script>{script}</script>"
        f"<script>const f = {data}; Plotly.newPlot('graph', f.data, f.layout, {{responsive: true}});</script>"
    )
    return (
        f'<iframe srcdoc="{html.escape(document)}" sandbox="allow-scripts" title="Concept graph" '
        f'style="width:100%;height:{HEIGHT + 10}px;border:0"></iframe>'
    )
