"""A graph nothing was tested on, as it is drawn: lines keep their style when a latent is chosen, names are legible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from probes.artefacts import artefact_path
from tests.fixtures.graphs import make_graph
from tests.fixtures.proposed import joined, latents

pytestmark = pytest.mark.browser

LONG = "supervised-partial-mechanism-sparsity-0.3-seed-0-start-0"
DRAWN = """(ref) => { const plot = document.querySelector('#graph-plot .js-plotly-plot');
  return plot?.dataset.drawn?.includes(`ref=${ref}&`) && plot.data.some((t) => t.marker?.size === 22); }"""
STYLES = """() => { const lines = document.querySelector('#graph-plot .js-plotly-plot').data
    .filter((t) => t.mode === 'lines');
  const style = (of) => [...new Set(of.map((t) => t.line.dash || 'solid'))].sort();
  return { base: style(lines.filter((t) => t.name)), chosen: style(lines.filter((t) => !t.name)) }; }"""
PICKER = """() => { const input = document.querySelector('#graph-name input'), css = getComputedStyle(input);
  const arrow = document.querySelector('#graph-name .icon-wrap, #graph-name svg').getBoundingClientRect();
  const end = input.getBoundingClientRect().right - parseFloat(css.paddingRight);
  return { text: input.value, cut: input.scrollWidth > input.clientWidth, over: end > arrow.left + 1 }; }"""


@pytest.fixture(scope="module")
def kept(data_home: Path) -> None:
    edges = [joined(0, 1, False, 0.5, 0.2), joined(2, 1, True, 1.0, -0.75)]
    latents(*edges, name=LONG).save(artefact_path("graph", LONG))
    make_graph(8, 6, 3, seed=2).save(artefact_path("graph", "of-all-verdicts"))


def opened(page: Any, server: str, graph: str, concept: str) -> None:
    page.goto(f"{server}/?tab=graph&graph={graph}&concept={concept}")
    page.wait_for_function(DRAWN, arg=graph)


def test_a_chosen_latent_keeps_the_style_of_its_lines(page: Any, server: str, kept: None) -> None:
    opened(page, server, LONG, "latents/1")
    found = page.evaluate(STYLES)
    assert found == {"base": ["solid"], "chosen": ["solid"]}
    graph = make_graph(8, 6, 3, seed=2)
    concept = next(edge.source for edge in graph.edges if edge.verdict == "carried")
    opened(page, server, "of-all-verdicts", concept)
    found = page.evaluate(STYLES)
    assert "dash" in found["base"] and "dash" in found["chosen"], "one that the residual path carries is dashed"
    assert page.failures == []


def test_the_picker_shows_all_of_a_long_name_beside_its_arrow(page: Any, server: str, kept: None) -> None:
    opened(page, server, LONG, "latents/1")
    assert page.evaluate(PICKER) == {"text": LONG, "cut": False, "over": False}
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(600)
    assert not page.evaluate(PICKER)["over"] and page.evaluate("document.documentElement.scrollWidth") <= 390
