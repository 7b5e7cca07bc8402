"""A cell is kept on the Grid page, its graph opens in the Graph page, and a latent has its ends, values and edges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app import jobs
from app.worker import execute
from tests.browser.conftest import outside, says
from tests.fixtures.served import Served, free_port

pytestmark = pytest.mark.browser

GRID: dict[str, Any] = {
    "tasks": ["reconstruction", "infonce"],
    "constraints": ["none"],
    "world": {"kind": "ball_room", "pairs": "changed"},
    "seeds": 1,
    "curve_seeds": 1,
    "restarts": 1,
    "network": {"width": 8, "rows": 200, "scale_after": 2, "optimiser": {"steps": 4, "batch": 32}},
    "scoring": {"rows": 80, "kernel_rows": 0, "tree_rows": 0},
}
VALUE = "document.querySelector('#{} textarea')?.value.includes('{}')"
# The numbers of the questions whose answers say where a grid's run is.
LOOKING = """() => { const made = window.gradio_config;
  const line = made.components.find((part) => part.props?.elem_id === "grid-status").id;
  return made.dependencies.filter((one) => one.outputs.includes(line)).map((one) => one.id); }"""

# The number of the question whose answer offers the cells of a pair: it changes the menu of cells and what is open.
PICKING = """() => { const made = window.gradio_config;
  const id = (called) => made.components.find((part) => part.props?.elem_id === called).id;
  const both = [id("grid-cell-which"), id("grid-cell-detail")];
  return made.dependencies.filter((one) => one.outputs.length === 2 && both.every((part) => one.outputs.includes(part)))
    .map((one) => one.id); }"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("representation-page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FULCRUM_HOME", str(folder))
        execute(jobs.new_run("evaluate", jobs.config_for("evaluate", {"suite": "grid", "name": "balls", "grid": GRID})))
    server = Served(folder, free_port(), {"OMP_NUM_THREADS": "1"})
    try:
        yield server.ready()
    finally:
        server.kill()


def keep(page: Any, task: str, name: str) -> None:
    """Open the cell of a task on the Grid page, and keep it under a name."""
    page.click("#grid-cell-pair input")
    page.get_by_role("option", name=f"{task} × none", exact=True).click()
    page.locator("#grid-cell-detail").wait_for(state="hidden")
    page.click("#grid-cell-open")
    page.locator("#grid-cell-detail").wait_for(state="visible")
    page.fill("#grid-cell-name textarea, #grid-cell-name input", name)
    page.click("#grid-cell-keep")


def held(page: Any, address: str, asked: list[int]) -> list[Any]:
    """From now on, the questions of these numbers at an address, which do not reach the server until let go."""
    late: list[Any] = []

    def hold(route: Any) -> None:
        if json.loads(route.request.post_data)["fn_index"] in asked:
            late.append(route)
        else:
            route.continue_()

    page.route(address, hold)
    return late


def test_a_kept_cell_opens_as_a_graph_whose_latents_can_be_inspected(page: Any, address: str) -> None:
    page.goto(f"{address}/?tab=grid&run=balls")
    page.wait_for_selector("#grid-cell-open")
    keep(page, "reconstruction", "Balls One")
    page.wait_for_function(VALUE.format("grid-cell-kept", "graph balls-one"))
    assert "keep --run balls --cell reconstruction-seed-0-start-0" in page.input_value("#grid-cell-kept textarea")
    page.click("#grid-cell-keep")
    page.get_by_text("none is ever overwritten").first.wait_for(state="visible")
    page.click("#grid-cell-to-graph")
    page.wait_for_url("**/?tab=graph&graph=balls-one*")
    page.wait_for_function(
        "document.querySelector('#graph-plot .js-plotly-plot')?.data?.some((t) => t.ids?.length === 8)"
    )
    said = page.locator("#graph-notices").inner_text()
    assert "no intervention tested them" in said or "No edges were looked for" in said
    assert [page.locator(f"#graph-{kind}").count() for kind in ("composed", "unsupported", "untested")] == [0, 0, 1]
    page.click("button:has-text('Table of all concepts')")
    page.locator("#graph-table").get_by_text("latents/3", exact=True).click()
    page.wait_for_selector("#inspector .fc-ends img")
    card = page.locator("#inspector")
    assert card.locator("#concept-label").input_value() == "latent 3", "its name, not the factor it follows"
    assert "known because the world is" in card.inner_text() and "never off" not in card.inner_text()
    assert card.locator(".fc-ends img").count() == 8 and card.locator(".fc-histogram rect").count() == 16
    assert [card.get_by_text(title).count() for title in ("edges that point here", "edges that point away")] == [1, 1]
    # As a lever: the row is decoded with and without it, again whenever the strength changes, beside chance.
    page.click("#add-lever")
    page.click("#to-steer")
    page.wait_for_selector("#lever-exact-0")
    assert page.locator("#lever-where-0").count() == 0 and not page.locator("#steer-prompt").is_visible()
    page.fill("#row-row input", "5")
    page.click("#row-go")
    page.wait_for_function(VALUE.format("row-said", "latent 3 by +1.00"))
    drawn = "document.querySelector('#row-view .fc-plot')?.layout?.images"
    assert page.evaluate(f"{drawn}.length") == 4
    before = page.evaluate(f"{drawn}.map((one) => one.source)")
    page.fill("#lever-exact-0", "-2")
    page.press("#lever-exact-0", "Enter")
    page.wait_for_function(VALUE.format("row-said", "latent 3 by −2.00"))
    page.wait_for_function(f"{drawn}[2].source !== {before[2]!r}")
    after = page.evaluate(f"{drawn}.map((one) => one.source)")
    assert after[:2] == before[:2], "what is seen and what it decodes to as it is stay"
    assert "random directions as long" in page.input_value("#row-said textarea")
    # Written by an answer of its own, so it may come after the picture.
    page.wait_for_function(says("steer-command"), arg="steer balls-one --concept latents/3 --strength -2 --row 5")
    assert page.failures == [] and outside(page.requested, address) == []


def test_a_late_look_at_the_run_closes_no_cell_and_changes_no_choice(page: Any, address: str) -> None:
    """The tab shows the run that the address names, and the choice of it asks again; that question comes late."""
    page.goto(f"{address}/?tab=runs")
    looking = page.evaluate(LOOKING)
    page.goto("about:blank")  # so that no look of this first page is taken for one of the next
    late = held(page, "**/run/predict*", looking)
    page.goto(f"{address}/?tab=grid&run=balls")
    page.wait_for_selector("#grid-cell-open")
    keep(page, "reconstruction", "late")
    page.wait_for_function(VALUE.format("grid-cell-kept", "graph late"))
    assert late
    for route in late:
        with page.expect_response(lambda answer, route=route: answer.request == route.request) as told:
            route.continue_()
        told.value.finished()
    page.wait_for_timeout(500)
    assert page.locator("#grid-cell-detail").is_visible()
    assert page.input_value("#grid-cell-pair input") == "reconstruction × none"


def test_a_pair_that_is_told_after_its_cell_was_opened_closes_nothing(page: Any, address: str) -> None:
    """A busy browser may send that a pair was picked after it sent that Open was pressed."""
    page.goto(f"{address}/?tab=grid&run=balls")
    page.wait_for_selector("#grid-cell-open")
    late = held(page, "**/queue/join*", page.evaluate(PICKING))
    keep(page, "reconstruction", "overtaken")
    page.wait_for_function(VALUE.format("grid-cell-kept", "graph overtaken"))
    assert late, "gradio tells of a pick again when its menu loses the focus, so as Open is pressed"
    for pick in late:
        with page.expect_response("**/queue/join*") as told:
            pick.continue_()
        told.value.finished()
    page.wait_for_timeout(2000)
    assert page.locator("#grid-cell-detail").is_visible()


def test_a_latent_that_nothing_decodes_is_no_lever(page: Any, address: str) -> None:
    page.goto(f"{address}/?tab=grid&run=balls")
    page.wait_for_selector("#grid-cell-open")
    keep(page, "infonce", "contrast")
    page.wait_for_function(VALUE.format("grid-cell-kept", "graph contrast"))
    page.goto(f"{address}/?tab=graph&graph=contrast&concept=latents/0")
    page.wait_for_function("document.querySelector('#graph-plot .js-plotly-plot')?.data")
    page.wait_for_selector("#inspector .fc-ends img")
    page.click("#add-lever")
    page.get_by_text("whose task trains no decoder").first.wait_for(state="visible")
    assert not page.locator("#to-steer").is_visible()
