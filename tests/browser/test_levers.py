"""Levers in Chromium: put on and taken off, saved and loaded, shipped and pinned, one rack per person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from concept_graphs.graph import ConceptGraph
from probes.artefacts import artefact_path
from probes.files import write_json
from steering.levers import lever_of
from tests.browser.conftest import fake_compare
from tests.browser.test_tour import click_a_concept, open_graph

pytestmark = pytest.mark.browser


def with_lever(page: Any, server: str) -> str:
    open_graph(page, server)
    concept = click_a_concept(page)
    page.click("#add-lever")
    page.click("#to-steer")
    page.wait_for_selector("#lever-rack .fc-lever")
    return concept


def test_a_link_opens_its_tab_and_is_kept_up_to_date(page: Any, server: str) -> None:
    page.goto(f"{server}/?graph=synthetic&tab=steer")
    page.wait_for_selector("#steer-go >> visible=true")
    page.click("#tab-runs-button")
    page.wait_for_function("new URL(location).searchParams.get('tab') === 'runs'")
    page.reload()
    page.wait_for_selector("#runs-table >> visible=true")
    page.goto(f"{server}/?graph=../../etc&concept=<b>&tab=nothing")
    page.wait_for_selector("#graph-plot >> visible=true")
    assert page.failures == []


def test_a_linked_concept_is_ringed(page: Any, server: str) -> None:
    open_graph(page, server)
    concept = click_a_concept(page)
    open_graph(page, server, f"&concept={concept}")
    page.wait_for_function("document.querySelector('.fc-graph-plot').data.some((t) => t.marker?.size === 22)")
    assert page.locator("#inspector .fc-id").first.inner_text() == concept


def test_a_lever_is_taken_off_again(page: Any, server: str) -> None:
    with_lever(page, server)
    page.click("#lever-rack .fc-remove")
    page.wait_for_selector("#lever-rack .fc-empty")
    page.wait_for_function("document.querySelector('#steer-command').innerText.includes('add a lever')")
    page.get_by_role("tab", name="Graph", exact=True).click()
    page.wait_for_selector("#to-steer", state="hidden")


def test_levers_survive_a_round_trip_through_a_file(page: Any, server: str, tmp_path: Path) -> None:
    concept = with_lever(page, server)
    page.fill("#lever-exact-0", "1.75")
    page.press("#lever-exact-0", "Tab")
    page.select_option("#lever-where-0", "generated")
    file = tmp_path / "levers.json"
    lever = saved_lever(page, file)
    assert (lever["weights"], lever["strength"]) == ({concept.split("/")[1]: 1.0}, 1.75)
    page.click("#lever-rack .fc-remove")
    page.wait_for_selector("#lever-rack .fc-empty")
    page.set_input_files("input[type=file][accept*='.json']", file)
    page.wait_for_selector("#lever-rack .fc-lever")
    assert page.input_value("#lever-exact-0") == "1.75"
    assert page.input_value("#lever-where-0") == "generated"


def saved_lever(page: Any, file: Path) -> dict[str, Any]:
    """What the one lever of the rack is in a saved file."""
    with page.expect_download() as download:
        page.click("#levers-save")
    download.value.save_as(file)
    (lever,) = json.loads(file.read_text())["levers"]
    return dict(lever)


def test_a_lever_takes_its_companions_along(page: Any, server: str, tmp_path: Path) -> None:
    concept = with_lever(page, server)
    level, latent = concept.split("/")
    page.check("#lever-companions-0")
    page.wait_for_function("document.querySelector('#steer-command').innerText.includes('--levers')")
    lever = saved_lever(page, tmp_path / "together.json")
    node = ConceptGraph.open("synthetic").node(concept)
    assert lever["weights"] == {latent: 1.0} | {other.split("/")[1]: weight for other, weight in node.companions}
    assert lever["level"] == level and len(lever["weights"]) > 1
    page.uncheck("#lever-companions-0")
    page.wait_for_function(f"document.querySelector('#steer-command').innerText.includes('{concept}')")
    assert saved_lever(page, tmp_path / "alone.json")["weights"] == {latent: 1.0}


def test_the_shipped_comparison_needs_no_subject(page: Any, server: str) -> None:
    folder = artefact_path("graph", "synthetic")
    columns = json.loads((folder / "graph.json").read_text())["nodes"]
    found = fake_compare(None, None, [lever_of(columns["id"][-1], 1.5)], "Call me", seed=3)
    write_json(folder / "comparison.json", found)
    try:
        open_graph(page, server)
        page.get_by_role("tab", name="Steer", exact=True).click()
        page.click("#steer-try")
        page.wait_for_selector("#comparison .is-steered .fc-token")
        assert "Computed beforehand" in page.inner_text("#comparison")
        assert page.input_value("#lever-exact-0") == "1.5"
        assert page.input_value("#steer-prompt textarea") == "Call me"
    finally:
        (folder / "comparison.json").unlink()


def test_two_people_do_not_share_levers(page: Any, server: str, chromium: Any) -> None:
    with_lever(page, server)
    other = chromium.new_context(viewport={"width": 1400, "height": 900}).new_page()
    other.goto(f"{server}/?graph=synthetic&tab=steer")
    other.wait_for_selector("#lever-rack .fc-empty")
    other.click("#steer-go")
    other.wait_for_selector("#comparison :text('There is no lever')")
    assert page.locator("#lever-rack .fc-lever").count() == 1
    other.context.close()


def test_unsupported_edges_appear_when_asked_for(page: Any, server: str) -> None:
    open_graph(page, server)
    caption = "document.querySelector('.fc-graph-status').innerText"
    before = page.evaluate(caption)
    page.click("#graph-unsupported")
    page.wait_for_function(f"(was) => {caption} !== was", arg=before)
    verdicts = page.evaluate("document.querySelector('.fc-graph-plot').data.map((t) => t.name)")
    assert "unsupported" in verdicts


def test_a_label_is_kept_as_text(page: Any, server: str) -> None:
    open_graph(page, server)
    concept = click_a_concept(page)
    page.fill("#concept-label", "<b>mine</b>")
    page.keyboard.press("Enter")
    page.wait_for_selector("#inspector :text('Your label')")
    labels = artefact_path("graph", "synthetic") / "labels.json"
    assert json.loads(labels.read_text()) == {concept: "<b>mine</b>"}
    assert page.input_value("#concept-label") == "<b>mine</b>"
    page.fill("#concept-label", "")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#concept-label').value !== ''")
    assert json.loads(labels.read_text()) == {}


def test_the_hint_stays_away_once_dismissed(page: Any, server: str) -> None:
    open_graph(page, server)
    page.click("#first-steps button")
    open_graph(page, server)
    assert page.locator("#first-steps").count() == 0


def test_hostile_prompts_are_text(page: Any, server: str) -> None:
    with_lever(page, server)
    page.fill("#steer-prompt textarea", '<img src=x onerror="window.__pwn=1">${window.__pwn=2}')
    page.click("#steer-go")
    page.wait_for_selector("#comparison .is-steered .fc-token")
    assert page.evaluate("window.__pwn") is None
    assert page.locator(".fc-root img, .fc-root script, .fc-root a").count() == 0


def test_a_narrow_screen_puts_graph_and_inspector_below_each_other(chromium: Any, server: str) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    open_graph(page, server)
    plot, card = (page.locator(name).bounding_box() for name in ("#graph-plot", "#inspector"))
    assert plot and card and plot["width"] > 300 and card["y"] > plot["y"] + plot["height"] - 1
    context.close()
