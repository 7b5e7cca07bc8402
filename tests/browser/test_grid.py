"""The Grid page: a grid is planned, started, stopped and resumed, what it found is drawn, and a cell is opened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import outside
from tests.fixtures.served import Served, free_port

pytestmark = pytest.mark.browser

STATUS = "document.querySelector('#grid-status textarea')?.value.includes('{}')"
PLOT = "document.querySelector('#grid-{} .fc-plot')?.data"
VALUE = "document.querySelector('#grid-{} textarea')?.value.includes('{}')"

# Words of a table that stand on more than one line.
BROKEN = """(of) => [...document.querySelectorAll(`${of} th, ${of} td`)].flatMap((cell) => {
  const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), broken = [];
  while (walk.nextNode()) for (const word of walk.currentNode.textContent.matchAll(/[\\w.]+/g)) {
    const range = document.createRange();
    range.setStart(walk.currentNode, word.index);
    range.setEnd(walk.currentNode, word.index + word[0].length);
    const lines = [...range.getClientRects()].filter((box) => box.width).map((box) => Math.round(box.top));
    if (new Set(lines).size > 1) broken.push(word[0]);
  }
  return broken; })"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("grid-page")
    server = Served(folder, free_port(), {"OMP_NUM_THREADS": "1"})
    try:
        yield server.ready()
    finally:
        server.kill()


def test_a_grid_from_its_plan_to_an_opened_cell(page: Any, address: str) -> None:
    page.goto(f"{address}/?tab=grid")
    page.wait_for_selector("#grid-start")
    assert not page.locator("#grid-result").is_visible() and not page.locator("#grid-cell").is_visible()
    page.wait_for_function(VALUE.format("planned", "9 pairs can be had; 18 cells"))
    # A world without labels: the reason stands there at once, and what would be trained follows.
    page.fill("#grid-world-vectors-labelled textarea, #grid-world-vectors-labelled input", "")
    page.wait_for_function(VALUE.format("planned", "no answers"))
    assert page.input_value("#grid-planned textarea").startswith("6 pairs can be had; 12 cells")
    page.fill("#grid-world-vectors-d input", "1")
    page.wait_for_function("document.querySelector('#grid-command').innerText.includes('need as many dimensions')")
    page.click("#grid-start")
    page.get_by_text("need as many dimensions").last.wait_for(state="visible")
    page.fill("#grid-world-vectors-d input", "12")
    page.wait_for_function(VALUE.format("planned", "6 pairs"))
    page.click("#grid-ask-cost")
    page.wait_for_function(VALUE.format("cost", "rests on a few training steps of"))
    # Stopped as soon as a cell is there; it goes on with it, also after the page was loaded again.
    page.click("#grid-start")
    page.wait_for_function("document.querySelector('#grid-live')?.innerText.includes('reconstruction')")
    page.click("#grid-stop")
    page.wait_for_function(STATUS.format("stopped"))
    page.wait_for_selector("#grid-cell-open")
    page.reload()
    page.wait_for_function(STATUS.format("stopped"))
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(600)
    assert page.locator("#grid-live").is_visible() and page.evaluate(BROKEN, "#grid-live") == []
    page.set_viewport_size({"width": 1400, "height": 900})
    page.click("#grid-resume")
    page.wait_for_function(STATUS.format("Written to"))
    for drawn in ("mcc", "r2", "gained", "curve"):
        page.wait_for_function(PLOT.format(drawn))
    said = page.input_value("#grid-said textarea")
    assert "the control kl changes MCC by" in said and "By chance" in said and "2 worlds" in said
    assert "the interaction takes" in said and "2 tasks x" in said, "a task that cannot be had leaves the others"
    assert not page.locator("#grid-live").is_visible()
    assert "injective rendering" in page.locator("#grid-card").inner_text()
    # A cell opens: a decoder moves a latent, a task without one shows held-out rows.
    page.click("#grid-cell-open")
    page.wait_for_function(PLOT.format("cell-along"))
    assert "z1" in page.locator("#grid-cell-factors").inner_text()
    assert "the task infonce" in page.input_value("#grid-cell-said textarea").lower()
    page.click("#grid-cell-pair input")
    page.get_by_role("option", name="reconstruction × none", exact=True).click()
    page.locator("#grid-cell-detail").wait_for(state="hidden")
    page.click("#grid-cell-open")
    page.wait_for_function(VALUE.format("cell-said", "The slider is at +2.0"))
    before = page.evaluate(f"JSON.stringify({PLOT.format('cell-here')})")
    slider = page.locator("#grid-cell-step input[type=number]")
    slider.fill("-3")
    slider.press("Enter")
    page.wait_for_function(VALUE.format("cell-said", "The slider is at −3.0"))
    assert page.evaluate(f"JSON.stringify({PLOT.format('cell-here')})") != before
    page.click("#grid-cell-discover")
    page.wait_for_function(f"{PLOT.format('cell-recovered')} || document.querySelector('.toast-body')")
    if page.locator(".toast-body").count():  # causal-learn comes with the graphs extra
        assert "causal-learn is not installed" in page.locator(".toast-body").first.inner_text()
    else:
        assert "shuffled latents" in page.input_value("#grid-cell-graph-said textarea")
    assert page.failures == [] and outside(page.requested, address) == []
