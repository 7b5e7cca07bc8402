"""Groups in Chromium: made from the chosen concept, renamed, drawn, and still there after a reload."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.browser.test_tour import NAMES, click_a_concept, open_graph

pytestmark = pytest.mark.browser

NAME = '<img src=x onerror="window.__pwn=1"> my group'


def open_panel(page: Any) -> None:
    page.get_by_role("button", name="Groups of concepts").click()
    page.wait_for_selector("#groups-propose")


def test_a_group_is_renamed_and_survives_a_reload(page: Any, server: str) -> None:
    open_graph(page, server)
    concept = click_a_concept(page)
    open_panel(page)
    page.wait_for_selector("#group-new:not([disabled])")
    page.click("#group-new")
    box = page.locator(f"#graph-groups .fc-group:has([title='{concept}'])").last
    box.wait_for()
    key = box.get_attribute("data-key")
    field = page.locator(f"#group-name-{key}")
    field.fill(NAME)
    field.press("Enter")
    page.get_by_label(f"Delete the group {NAME}", exact=True).wait_for()  # the list as the server keeps it
    open_graph(page, server)
    open_panel(page)
    page.wait_for_selector(f"#group-name-{key}")
    assert page.input_value(f"#group-name-{key}") == NAME
    assert page.evaluate("window.__pwn") is None and not page.failures
    page.locator(f"#graph-groups [data-key={key}] >> text=Delete").click()
    page.wait_for_selector(f"#group-name-{key}", state="detached")


@pytest.mark.parametrize("wide", [390, 1400])
def test_proposals_are_listed_and_drawn_with_names_that_stand_apart(page: Any, server: str, wide: int) -> None:
    page.set_viewport_size({"width": wide, "height": 844})
    open_graph(page, server)
    open_panel(page)
    page.click("#groups-propose")
    page.wait_for_selector("#graph-groups .fc-group")
    page.wait_for_function(
        "document.querySelector('#graph-plot .fc-graph-plot').layout.shapes.some((shape) => shape.name === 'group')"
    )
    assert "proposed" in page.locator("#graph-groups .fc-group").first.inner_text()
    page.wait_for_timeout(1500)  # a resize after the first drawing fetches fitted names
    names = page.locator("#graph-plot .fc-graph-plot").evaluate(NAMES, "group")
    assert names and all(name["whole"] for name in names)
    lines = sorted((round(name["top"]), name["left"], name["right"]) for name in names)
    assert all(one[0] != other[0] or one[2] <= other[1] for one, other in pairwise(lines))
