"""On a phone no page scrolls sideways, and nothing on one has to be scrolled sideways to be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from probes.artefacts import artefact_path
from tests.browser.test_tour import click_a_concept, open_graph
from tests.fixtures.graphs import make_picture_graph

pytestmark = pytest.mark.browser

WIDE, HIGH = 390, 844
# A table of many columns and the code of a command may scroll in a box of their own; nothing else may.
MAY_SCROLL = (
    "#graph-table",
    "#graph-stability",
    "#compare-table",
    "#compose-table",
    "#runs-table",
    "#known-pairs",
    "#known-whole",
    "#grid-live",
    ".cm-scroller",
    ".tab-container",
    ".fc-graph-plot",
)
SIDEWAYS = """(may) => [...document.querySelectorAll('.gradio-container *')]
  .filter((e) => e.offsetParent && e.scrollWidth > e.clientWidth + 5 && !may.some((m) => e.closest(m)))
  .filter((e) => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX))
  .map((e) => `${e.tagName}#${e.id}.${e.className} ${e.scrollWidth} > ${e.clientWidth}`)"""

# Read in one go: two boxes read one after the other differ where the page moves between.
ON_EACH_OTHER = """() => { const box = (of) => JSON.stringify(document.querySelector(of).getBoundingClientRect());
  return box('#inspector .fc-heat img') === box('#inspector .fc-heat-cells'); }"""


def check(page: Any, what: str) -> None:
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDE, what
    assert page.evaluate(SIDEWAYS, list(MAY_SCROLL)) == [], what


@pytest.mark.parametrize(("wide", "scheme"), [(1400, "light"), (WIDE, "dark")])
def test_a_concept_of_pictures_is_shown_on_its_true_grid(
    chromium: Any, server: str, data_home: Path, wide: int, scheme: str
) -> None:
    folder = artefact_path("graph", "wide-pictures")
    if not folder.exists():
        folder.mkdir(parents=True)
        make_picture_graph("wide-pictures").save(folder)
    key = make_picture_graph().nodes["id"][0]
    context = chromium.new_context(viewport={"width": wide, "height": HIGH}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{server}/?tab=graph&graph=wide-pictures&concept={key}")
    page.wait_for_selector("#inspector .fc-heat-cells")
    image, cells = page.locator("#inspector .fc-heat img").first, page.locator("#inspector .fc-heat-cells").first
    assert page.evaluate(ON_EACH_OTHER) and image.evaluate("(one) => one.naturalWidth") == 16
    box = cells.bounding_box()
    assert box["width"] == pytest.approx(2 * box["height"], abs=1)
    # The strongest cell, and only it, is fully drawn; a cell without the concept not at all.
    drawn = cells.evaluate("(c) => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]")[3::4]
    assert len(drawn) == 8 and drawn.index(max(drawn)) == 6 and drawn[0] == 0
    xs = page.locator("#inspector .fc-profile-dot").evaluate_all("(all) => all.map((dot) => +dot.getAttribute('cx'))")
    assert len(xs) == 3 and xs == sorted(xs)  # noise falls from the left to the right
    assert page.evaluate("window.__pwn") is None
    assert page.locator("#graph-composed").count() == 0 and page.locator("#graph-unsupported").count() == 1
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= wide
    assert page.evaluate(SIDEWAYS, list(MAY_SCROLL)) == []
    context.close()


NAMES = """() => { const box = (e) => { const { left, right, top, bottom } = e.getBoundingClientRect();
    return { text: e.textContent, left, right, top, bottom }; };
  const plot = document.querySelector('.fc-graph-plot');
  return { chosen: box([...plot.querySelectorAll('.scatterlayer .trace:last-child .textpoint text')].pop()),
    levels: [...plot.querySelectorAll('.annotation-text')].map(box), plot: box(plot) }; }"""


@pytest.mark.parametrize("graph", ["bundled/emoji", "bundled/text"])
def test_the_name_of_a_chosen_concept_leaves_the_names_of_the_levels_alone(
    chromium: Any, server: str, graph: str
) -> None:
    context = chromium.new_context(viewport={"width": WIDE, "height": HIGH}, color_scheme="dark")
    page = context.new_page()
    page.set_default_timeout(180_000)
    page.goto(f"{server}/?tab=graph&graph={graph}")
    page.wait_for_function("document.querySelector('.fc-graph-plot')?.data?.some((trace) => trace.ids)")
    ends = page.evaluate("""() => document.querySelector('.fc-graph-plot').data.filter((t) => t.ids).flatMap((t) => {
      const order = t.ids.map((id, at) => [t.x[at], id]).sort((a, b) => a[0] - b[0]).map((one) => one[1]);
      return [order[0], order[order.length - 1]]; })""")
    assert len(ends) == 6
    for key in (*ends[::2], ends[1]):  # the leftmost of every level, and one at the right
        page.goto(f"{server}/?tab=graph&graph={graph}&concept={key}")
        page.wait_for_function("document.querySelector('.fc-graph-plot')?.data?.some((t) => t.marker?.size === 22)")
        page.wait_for_timeout(600)
        seen = page.evaluate(NAMES)
        chosen, plot = seen["chosen"], seen["plot"]
        assert chosen["text"] and len(seen["levels"]) == 3
        assert plot["left"] <= chosen["left"] and chosen["right"] <= plot["right"] + 1, key
        for level in seen["levels"]:
            apart = chosen["left"] >= level["right"] or chosen["right"] <= level["left"]
            assert apart or chosen["top"] >= level["bottom"] or chosen["bottom"] <= level["top"], (key, level["text"])
    context.close()


def test_no_page_scrolls_sideways(chromium: Any, server: str) -> None:
    context = chromium.new_context(viewport={"width": WIDE, "height": HIGH})
    page = context.new_page()
    page.set_default_timeout(180_000)
    open_graph(page, server)
    click_a_concept(page)
    check(page, "graph with an inspected concept")
    page.click("#add-lever")
    page.get_by_role("tab", name="Steer", exact=True).click()
    page.wait_for_selector("#lever-rack .fc-lever")
    page.click("#steer-go")
    page.wait_for_selector("#comparison .fc-table")
    check(page, "steer with a comparison and its controls")
    page.get_by_role("tab", name="Train", exact=True).click()
    page.wait_for_selector("#train-start", timeout=300_000)  # the first form imports torch
    page.get_by_role("button", name="Low: The lowest level").click()
    page.locator("#train-low-autoencoder").wait_for(state="visible")
    check(page, "train with an open level")
    for kind in ("Capture activations", "Import dictionaries"):
        page.get_by_label(kind, exact=True).check()
        page.wait_for_selector("#train-path" if "Import" in kind else "#train-corpus")
        check(page, kind)
    # Tabs that do not fit stand in a menu; an address opens those too.
    for tab, own in (
        ("identifiability", "#known-start"),
        ("grid", "#grid-start"),
        ("runs", "#runs-table"),
        ("report", "#report-go"),
    ):
        page.goto(f"{server}/?tab={tab}")
        page.locator(own).wait_for(state="visible")
        page.wait_for_function(f"new URL(location).searchParams.get('tab') === '{tab}'")
        check(page, tab)
    context.close()
