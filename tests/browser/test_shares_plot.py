"""The shares of variance on a phone: no text of the plot lies on another."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app.grid_figures import PARTS, shares_figure
from app.static import plotly_file
from app.suites.rows import Row

pytestmark = pytest.mark.browser

OVERLAPS = """() => { const of = (where) => [...document.querySelectorAll(where)].map((e) => {
    const { left, right, top, bottom } = e.getBoundingClientRect();
    return { text: e.textContent, left, right, top, bottom }; });
  const all = [...of('.bartext'), ...of('.xtick text'), ...of('.legendtext')];
  return all.flatMap((a, at) => all.slice(at + 1).filter((b) => a.left < b.right - 0.5 && b.left < a.right - 0.5
    && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5).map((b) => `${a.text} on ${b.text}`)); }"""


def shares(first: float) -> dict[str, Any]:
    values = dict.fromkeys(PARTS, 0.01) | {PARTS[0]: first}
    rows = {
        ("variance", measure, part): Row(name=f"variance.{measure}.{part}", value=value, unit="share")
        for measure in ("mcc", "r2")
        for part, value in values.items()
    }
    found: Any = SimpleNamespace(row=lambda *parts: rows.get(parts), value=lambda *parts: 0.005)
    return shares_figure(found)


@pytest.mark.parametrize("first", [0.94, 1.0])
@pytest.mark.parametrize("wide", [330, 358, 620])
def test_no_text_lies_on_another(page: Any, first: float, wide: int) -> None:
    page.set_content(f"<div id='plot' style='width:{wide}px'></div>")
    page.add_script_tag(path=str(plotly_file()))
    figure = shares(first)
    # As plot_view.js lays a figure out.
    for axis in ("xaxis", "yaxis"):
        figure["layout"][axis]["automargin"] = True
    figure["layout"]["font"] = {"family": "system-ui, sans-serif", "size": 12}
    page.evaluate("(f) => Plotly.newPlot('plot', f.data, f.layout, { displayModeBar: false })", figure)
    assert page.evaluate(OVERLAPS) == []
