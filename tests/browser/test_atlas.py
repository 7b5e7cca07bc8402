"""Graph and atlas share one selection, on a wide page and on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from concept_graphs.atlas import ATLAS_FILE, Atlas, AtlasConfig, Points
from probes.artefacts import artefact_path, parent_of, write_manifest
from probes.files import write_json
from tests.browser.test_narrow import HIGH, MAY_SCROLL, SIDEWAYS, WIDE
from tests.browser.test_tour import click_a_concept, open_graph
from tests.fixtures.graphs import make_graph

pytestmark = pytest.mark.browser

ATLAS = "#atlas-plot .fc-graph-plot"
PLACE = """(el, key) => {
  const trace = el.data.find((t) => Array.isArray(t.ids) && t.ids.includes(key)), at = trace.ids.indexOf(key);
  const x = el._fullLayout.xaxis, y = el._fullLayout.yaxis, box = el.getBoundingClientRect();
  return [box.left + x._offset + x.l2p(trace.x[at]), box.top + y._offset + y.l2p(trace.y[at])];
}"""
# The place of the one ring that has a name: that of the selected concept.
RINGED = """(el) => { const ring = el.data.find((t) => t.mode === 'markers+text' && !t.ids);
  return ring ? [ring.x[0], ring.y[0]] : null; }"""
STANDS = """(el, key) => { const trace = el.data.find((t) => (t.ids || []).includes(key));
  const at = trace.ids.indexOf(key); return [trace.x[at], trace.y[at]]; }"""


@pytest.fixture(scope="module")
def atlas(server: str, data_home: Path) -> Atlas:
    """An atlas of the probe that the made-up graph names, its concepts on a grid."""
    graph = make_graph(seed=1, hostile=True)
    points = {}
    for row, level in enumerate(graph.meta.levels):
        own = [node.index for node in graph.nodes if node.level == level.name]
        across = [round((at + 0.5) / len(own), 4) for at in range(len(own))]
        points[level.name] = Points(latent=own, x=across, y=[0.2 + 0.3 * row] * len(own))
    names = list(points)
    settings = AtlasConfig(probe=graph.meta.probe)
    made = Atlas(probe="p", maps=[names], points=points, left_out=dict.fromkeys(names, 0), settings=settings)
    folder = artefact_path("atlas", "made-up")
    folder.mkdir(parents=True)
    write_json(folder / ATLAS_FILE, made.model_dump(mode="json"))
    write_manifest(folder, kind="atlas", name="made-up", parents={"probe": parent_of(graph.meta.probe, "probe")})
    return made


def open_atlas(page: Any, server: str) -> Any:
    open_graph(page, server)
    page.locator("#atlas button").first.click()
    page.wait_for_selector(f"{ATLAS}[data-drawn]")
    page.wait_for_timeout(1500)
    return page.locator(ATLAS)


def ringed(page: Any, where: str, key: str) -> None:
    page.wait_for_function(
        f"(key) => {{ const el = document.querySelector('{where}'); const a = ({RINGED})(el), b = ({STANDS})(el, key);"
        " return a && b && a[0] === b[0] && a[1] === b[1]; }",
        arg=key,
    )


def test_a_choice_on_the_atlas_is_one_on_the_graph_and_back(page: Any, server: str, atlas: Atlas) -> None:
    drawn = open_atlas(page, server)
    assert page.locator("#atlas-plot .fc-graph-status").inner_text().startswith("82 of 82 concepts")
    inside = page.locator("#graph-plot .fc-graph-plot").evaluate("(el) => el.data.flatMap((t) => t.ids || [])")
    key = next(key for key in inside if key.startswith("middle/"))
    drawn.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    page.mouse.click(*drawn.evaluate(PLACE, key))
    page.wait_for_selector(f"#inspector .fc-id >> text={key}")
    ringed(page, "#graph-plot .fc-graph-plot", key)
    ringed(page, ATLAS, key)
    page.wait_for_function(f"new URL(location).searchParams.get('concept') === '{key}'")
    other = click_a_concept(page)
    assert other != key
    ringed(page, ATLAS, other)
    assert page.failures == [] and page.evaluate("window.__pwn") is None


def test_the_atlas_fits_a_phone_in_the_dark(chromium: Any, server: str, atlas: Atlas) -> None:
    context = chromium.new_context(viewport={"width": WIDE, "height": HIGH}, color_scheme="dark")
    page = context.new_page()
    page.set_default_timeout(180_000)
    open_atlas(page, server)
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDE
    assert page.evaluate(SIDEWAYS, list(MAY_SCROLL)) == []
    colour = page.locator(ATLAS).evaluate("(el) => el._fullLayout.font.color")
    assert int(colour.lstrip("#")[:2], 16) > 128  # light ink on a dark page
    context.close()
