"""The Identifiability page: a world with its dials set is measured, and both graphs and the figures are shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import outside
from tests.fixtures.served import Served, free_port

pytestmark = pytest.mark.browser

FIELDS = {"low": 8, "middle": 4, "high": 2, "d_model": 12}
PLOT = "document.querySelector('#known-{} .fc-plot')?.data"
DONE = "document.querySelector('#known-status textarea')?.value.includes('Written to')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("identifiability-page")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    server = Served(folder, free_port(), {})
    try:
        yield server.ready()
    finally:
        server.kill()


NARROWEST = "Math.min(...[...document.querySelectorAll('#known-pairs th')].map((head) => head.offsetWidth))"


def _runs(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "runs").glob("*"))


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
    # On a phone the tables keep columns wide enough for their words, under their own heads; no sentence is cut.
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    page.wait_for_function(f"{DONE} && {PLOT.format('recovered')}")
    page.wait_for_function(f"{NARROWEST} >= 90")
    for table in ("#known-pairs", "#known-whole"):
        heads, cells = (page.locator(f"{table} {part}").first for part in ("th", "[role=gridcell]"))
        assert heads.bounding_box()["width"] == pytest.approx(cells.bounding_box()["width"], abs=2)
    assert page.locator("#known-said textarea").evaluate("(said) => said.scrollHeight - said.clientHeight") <= 2
    assert page.failures == [] and outside(page.requested, address) == []


def test_start_refuses_dials_of_no_possible_world_and_makes_no_run(page: Any, address: str, folder: Path) -> None:
    page.goto(f"{address}/?tab=identifiability")
    page.wait_for_selector("#known-start")
    before = _runs(folder)
    page.fill("#known-world-storeys-twins input", "13")
    page.wait_for_function("document.querySelector('#known-command').innerText.includes('13 pairs need 26 of 24')")
    page.click("#known-start")
    # The command box says it too while the form is filled in; Start must say it itself.
    told = page.get_by_test_id("toast-body").get_by_text("Correct World / Twins and try again")
    told.last.wait_for(state="visible")
    assert page.input_value("#known-run input") == "" and _runs(folder) == before


def test_a_run_is_stopped_by_its_button_and_shows_no_result(page: Any, address: str, folder: Path) -> None:
    page.goto(f"{address}/?tab=identifiability")
    page.wait_for_selector("#known-start")
    before = _runs(folder)
    page.fill("#known-seeds input", "20")
    page.wait_for_function(
        "document.querySelector('#known-command').innerText.replace(/\\s+/g, '').includes('seeds20')"
    )
    page.click("#known-start")
    page.wait_for_function("document.querySelector('#known-stop')?.disabled === false")
    page.click("#known-stop")
    page.wait_for_function("document.querySelector('#known-resume')?.disabled === false")
    assert page.locator("#known-stop").is_disabled() and not page.locator("#known-result").is_visible()
    (made,) = set(_runs(folder)) - set(before)
    assert json.loads((folder / "runs" / made / "status.json").read_text())["state"] == "stopped"
    assert page.failures == []
