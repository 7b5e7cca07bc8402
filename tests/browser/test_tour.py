"""The tour in Chromium: graph, inspector, lever, steered text, report; nothing hostile runs, nothing leaves."""

from __future__ import annotations

from typing import Any

import playwright.sync_api
import pytest

from tests.browser.conftest import outside

pytestmark = pytest.mark.browser

POINT = """(el) => {
  const trace = el.data.find((t) => Array.isArray(t.ids) && t.ids.length > 2), at = 1;
  const x = el._fullLayout.xaxis, y = el._fullLayout.yaxis, box = el.getBoundingClientRect();
  const left = box.left + x._offset + x.l2p(x.d2l(trace.x[at]));
  return [left, box.top + y._offset + y.l2p(y.d2l(trace.y[at])), trace.ids[at]];
}"""


def open_graph(page: Any, server: str, query: str = "") -> None:
    page.goto(f"{server}/?graph=synthetic{query}")
    page.wait_for_selector("#graph-plot .fc-graph-plot[data-drawn]")


def click_a_concept(page: Any) -> str:
    plot = page.locator("#graph-plot .fc-graph-plot")
    plot.scroll_into_view_if_needed()
    for attempt in range(4):  # a resize after the first drawing fetches fitted labels and moves the points
        page.wait_for_timeout(1000)
        x, y, concept = plot.evaluate(POINT)
        page.mouse.click(x, y)
        try:
            page.wait_for_selector(f"#inspector .fc-id >> text={concept}", timeout=5000)
            break
        except playwright.sync_api.TimeoutError:
            assert attempt < 3, "clicking a concept opened nothing"
    assert page.locator("#inspector .fc-id").first.inner_text() == concept
    return str(concept)


CROWDING = """(plot) => {
    const drawn = plot.data.find((trace) => trace.mode === "markers+text" && !trace.ids);
    const size = (text) => 7 * text.replace(/<[^>]*>/g, "").length;
    const nodes = plot.data.filter((trace) => Array.isArray(trace.ids));
    const labels = nodes.flatMap((trace) => trace.text.map((text, at) => [text, trace.x[at], trace.y[at]]));
    const near = labels.filter(([text, x, y]) => text && Math.round(y) === Math.round(drawn.y[0])
        && Math.abs(x - drawn.x[0]) * plot.clientWidth < (size(text) + size(drawn.text[0])) / 2);
    return { name: drawn.text[0], near: near.length, labels: labels.filter(([text]) => text).length };
}"""


# Of the annotations with this name: those of groups are called so, those of levels are not called anything.
NAMES = """(plot, called) => { const box = plot.getBoundingClientRect();
    const drawn = (at) => plot.querySelector(`.annotation[data-index="${at}"] .annotation-text-g`);
    return plot.layout.annotations.map((one, at) => [one.name || "", at]).filter(([name]) => name === called)
        .map(([, at]) => drawn(at).getBoundingClientRect()).map(({ left, right, top, width }) =>
            ({ left, right, top, whole: width > 0 && left >= box.left && right <= box.right })); }"""


@pytest.mark.parametrize("wide", [1400, 390])
def test_the_names_of_the_levels_stand_whole_beside_the_storeys(page: Any, server: str, wide: int) -> None:
    page.set_viewport_size({"width": wide, "height": 844})
    open_graph(page, server)
    page.wait_for_timeout(1500)  # a resize after the first drawing fetches fitted labels
    names = page.locator("#graph-plot .fc-graph-plot").evaluate(NAMES, "")
    assert [name["whole"] for name in names] == [True] * 3


READABLE = """() => { const linear = (v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const light = (c) => c.map((v) => linear(v / 255))
        .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
    const made = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const drawn = (...colours) => { for (const one of colours) { made.fillStyle = one; made.fillRect(0, 0, 1, 1); }
        return [...made.getImageData(0, 0, 1, 1).data].slice(0, 3); };
    const style = (one) => getComputedStyle(one);
    const panel = style(document.body).getPropertyValue("--fc-panel").trim();
    return Math.min(...[...document.querySelectorAll("#inspector .fc-token")].map((token) => {
        const [a, b] = [drawn(panel, style(token).backgroundColor), drawn(style(token).color)].map(light);
        return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); })); }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_strongest_token_can_be_read_on_its_tint(chromium: Any, server: str, scheme: str) -> None:
    context = chromium.new_context(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    open_graph(page, server)
    click_a_concept(page)
    page.wait_for_selector("#inspector .fc-token.is-peak")
    assert page.evaluate(READABLE) >= 4.5
    context.close()


def test_a_picked_concept_is_named_clear_of_other_labels(page: Any, server: str) -> None:
    open_graph(page, server)
    concept = click_a_concept(page)
    page.wait_for_function(
        "document.querySelector('#graph-plot .fc-graph-plot').data.some((t) => t.mode === 'markers+text' && !t.ids)"
    )
    found = page.locator("#graph-plot .fc-graph-plot").evaluate(CROWDING)
    assert found["name"] and found["near"] == 0 and found["labels"] > 0, (concept, found)


def test_click_add_lever_steer(page: Any, server: str) -> None:
    open_graph(page, server)
    concept = click_a_concept(page)
    page.wait_for_function(f"new URL(location).searchParams.get('concept') === '{concept}'")
    page.click("#add-lever")
    page.wait_for_function("document.querySelector('#add-lever').textContent.includes('✓')")
    page.get_by_role("tab", name="Steer").click()
    page.wait_for_selector("#lever-rack .fc-lever")
    page.click("#steer-go")
    page.wait_for_selector("#comparison .is-steered .fc-token")
    assert page.locator("#comparison .is-steered").inner_text().count("whales") == 4
    assert "plain" in page.locator("#comparison .is-unsteered").inner_text()
    exact = page.locator("#lever-exact-0")
    exact.fill("2")
    exact.press("Enter")
    page.click("#steer-go")
    page.wait_for_function("document.querySelectorAll('#comparison .is-steered .fc-token').length === 8")
    page.wait_for_function("document.querySelector('#steer-command').innerText.includes('--strength 2')")
    assert "30" in page.locator("#lever-rack .fc-lever").inner_text()
    assert page.failures == []


def test_nothing_hostile_runs_and_nothing_leaves(page: Any, server: str) -> None:
    open_graph(page, server)
    concept = click_a_concept(page)
    open_graph(page, server, f"&concept={concept}")
    page.wait_for_selector("#inspector #concept-label")
    for tab in ("Steer", "Train", "Identifiability", "Grid", "Runs", "Report", "Graph"):
        page.get_by_role("tab", name=tab, exact=True).click()
        page.wait_for_timeout(400)
    assert page.evaluate("window.__pwn") is None
    assert len(page.requested) > 10 and outside(page.requested, server) == []
