"""On a phone no page scrolls sideways, and nothing on one has to be scrolled sideways to be read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.test_tour import click_a_concept, open_graph

pytestmark = pytest.mark.browser

WIDE, HIGH = 390, 844
# A table of many columns and the code of a command may scroll in a box of their own; nothing else may.
MAY_SCROLL = ("#graph-table", "#runs-table", ".cm-scroller", ".tab-container", ".fc-graph-plot")
SIDEWAYS = """(may) => [...document.querySelectorAll('.gradio-container *')]
  .filter((e) => e.offsetParent && e.scrollWidth > e.clientWidth + 5 && !may.some((m) => e.closest(m)))
  .filter((e) => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX))
  .map((e) => `${e.tagName}#${e.id}.${e.className} ${e.scrollWidth} > ${e.clientWidth}`)"""


def check(page: Any, what: str) -> None:
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDE, what
    assert page.evaluate(SIDEWAYS, list(MAY_SCROLL)) == [], what


def test_no_page_scrolls_sideways(chromium: Any, server: str) -> None:
    context = chromium.new_context(viewport={"width": WIDE, "height": HIGH})
    page = context.new_page()
    page.set_default_timeout(90_000)
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
    for tab in ("Runs", "Report"):
        page.get_by_role("tab", name=tab, exact=True).click()
        check(page, tab)
    context.close()
