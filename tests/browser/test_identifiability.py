"""The Identifiability page: a world with its dials set is measured, and both graphs and the figures are shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import outside
from tests.fixtures.served import Served, free_port

pytestmark = pytest.mark.browser

FIELDS = {"low": 8, "middle": 4, "high": 2, "d_model": 12}
PLOT = "document.querySelector('#known-{} .fc-plot')?.data"
DONE = "document.querySelector('#known-status textarea')?.value.includes('Written to')"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("identifiability-page")
    server = Served(folder, free_port(), {})
    try:
        yield server.ready()
    finally:
        server.kill()


def test_a_world_is_measured_and_both_graphs_are_shown(page: Any, address: str) -> None:
    page.goto(f"{address}/?tab=identifiability")
    page.wait_for_selector("#known-start")
    assert not page.locator("#known-result").is_visible()
    page.click("#known-world input")
    page.get_by_role("option", name="generated").click()
    page.locator("#known-world-generated-given").wait_for(state="visible")
    for field, value in FIELDS.items():
        page.fill(f"#known-world-generated-{field} input", str(value))
    page.get_by_role("button", name="More: how it is trained").click()
    for field, value in {"seeds": 1, "rows": 600, "other_worlds": 1, "fits": 1, "chunks": 8}.items():
        page.fill(f"#known-{field} input", str(value))
    for slow in ("gates", "pc", "grasp"):
        page.locator(f"#known-proposals .token:has-text('{slow}') .token-remove").click()
    page.wait_for_function(
        "document.querySelector('#known-command').innerText.replace(/\\s+/g, '').includes('--known_graph.fits1')"
    )
    page.click("#known-start")
    page.wait_for_function(DONE)
    page.wait_for_function(f"{PLOT.format('truth')} && {PLOT.format('recovered')}")
    assert "concepts" in page.locator("#known-truth").inner_text()
    assert "Recovered by co-activation" in page.locator("#known-recovered").inner_text()
    assert "co-activation (baseline)" in page.locator("#known-pairs").inner_text()
    assert page.input_value("#known-said textarea").startswith("By co-activation, F1 is")
    # Another method's graph is drawn from what was measured; a reloaded page finds the run again.
    page.click("#known-method input")
    page.get_by_role("option", name="ridge", exact=True).click()
    page.wait_for_function("document.querySelector('#known-recovered').innerText.includes('by ridge')")
    page.reload()
    page.wait_for_function(f"{DONE} && {PLOT.format('recovered')}")
    assert page.failures == [] and outside(page.requested, address) == []
