"""The report in Chromium: pinned on the Steer page, written on the Report page, opened from disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import jobs
from app.report import ReportConfig
from app.worker import execute
from probes.artefacts import artefact_path, home
from probes.files import write_json
from steering.levers import lever_of
from tests.browser.conftest import fake_compare
from tests.browser.test_levers import with_lever
from tests.fixtures.graphs import HOSTILE, make_graph

GRAPH = '.plot[data-figure="graph-0"]'  # a report may hold other pictures too

pytestmark = pytest.mark.browser

# Pairs of labels of one picture whose boxes on screen overlap by more than a hair.
OVERLAPS = """(plot) => {
  const boxes = [...plot.querySelectorAll(".textpoint text tspan, .textpoint text:not(:has(tspan))")]
    .filter((t) => t.textContent.trim()).map((t) => [t.textContent, t.getBoundingClientRect()]);
  return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([b, q]) =>
    Math.min(p.right, q.right) - Math.max(p.left, q.left) > 2
      && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 4,
  ).map(([b]) => [a, b]));
}"""

# Where on screen the first drawn concept lies that has a card, and the card's id.
POINT_WITH_CARD = """(plot) => {
  const place = (id) => `concept-${id.replace("/", "-")}`, box = plot.getBoundingClientRect();
  const { xaxis, yaxis } = plot._fullLayout;
  for (const trace of plot.data) for (const [at, id] of (trace.ids || []).entries())
    if (document.getElementById(place(id))) return [
      box.left + xaxis._offset + xaxis.d2p(trace.x[at]), box.top + yaxis._offset + yaxis.d2p(trace.y[at]), place(id)];
}"""


@pytest.fixture(scope="module")
def report(data_home: Path) -> Path:
    """A report of a hostile graph and a hostile pinned run."""
    folder = artefact_path("graph", "hostile")
    folder.mkdir(parents=True)
    graph = make_graph(60, 40, 20, seed=5, hostile=True)
    graph.save(folder)
    pin = home() / "hostile-pin.json"
    found = fake_compare(None, None, [lever_of(graph.nodes["id"][-1], 1.5)], HOSTILE[0], seed=3)
    for row in (found["steered"], *found["controls"]):
        row["tokens"], row["text"] = list(HOSTILE), "".join(HOSTILE)
    write_json(pin, {**found, "notices": list(HOSTILE)})
    made = execute(jobs.new_run("report", ReportConfig(name="hostile", graph="hostile", pins=(str(pin),))))
    assert made is not None
    return made / "report.html"


@pytest.fixture(params=[("light", 1400), ("dark", 1400), ("light", 800), ("light", 390), ("dark", 390)], ids=str)
def opened(chromium: Any, report: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The report opened from disk; `requested` lists every address but its own, `failures` every error."""
    scheme, width = request.param
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.requested, page.failures, page.scheme = [], [], scheme
    page.on("request", lambda asked: page.requested.append(asked.url))
    page.on("pageerror", lambda error: page.failures.append(str(error)))
    page.on("console", lambda said: said.type == "error" and page.failures.append(said.text))
    page.goto(report.as_uri())
    page.wait_for_selector(".plot[data-drawn] .main-svg")
    yield page
    context.close()


def test_nothing_runs_nothing_leaves_and_nothing_overflows(opened: Any, report: Path) -> None:
    opened.wait_for_timeout(300)
    assert opened.evaluate("window.__pwn") is None
    assert [url for url in opened.requested if url.split("#")[0] != report.as_uri()] == []
    assert opened.locator("main img, main iframe, main a[href^=javascript]").count() == 0
    assert opened.evaluate("document.documentElement.scrollWidth") <= opened.viewport_size["width"]
    assert opened.failures == []
    assert HOSTILE[1] in opened.inner_text("h1")


def test_the_picture_suits_the_screen(opened: Any) -> None:
    plot = opened.locator(GRAPH)
    assert plot.get_attribute("data-drawn") == {390: "350", 800: "680", 1400: "1000"}[opened.viewport_size["width"]]
    assert plot.locator(".textpoint text").count() > 3
    assert plot.evaluate(OVERLAPS) == []
    ink, paper = (opened.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    bright = [sum(map(int, colour[4:-1].split(","))) for colour in (ink, paper)]
    assert (bright[0] > bright[1]) == (opened.scheme == "dark")
    assert plot.locator(".textpoint text").first.evaluate("(t) => getComputedStyle(t).fill") == ink


def test_a_point_and_the_contents_lead_to_their_places(opened: Any) -> None:
    plot = opened.locator(GRAPH)
    plot.scroll_into_view_if_needed()
    x, y, card = plot.evaluate(POINT_WITH_CARD)
    opened.mouse.click(x, y)
    opened.wait_for_selector(f"#{card}:target")
    opened.click("nav a[href='#edges']")
    opened.wait_for_selector("nav a.is-here[href='#edges']", state="attached")
    top = opened.locator("#edges").evaluate("(part) => part.getBoundingClientRect().top")
    assert 0 <= top < 120


def test_a_printed_report_fits_the_paper(chromium: Any, report: Path) -> None:
    page = chromium.new_context(viewport={"width": 1400, "height": 900}, color_scheme="dark").new_page()
    page.goto(report.as_uri())
    page.wait_for_selector(".plot[data-drawn] .main-svg")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("nav").is_hidden()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    plot = page.locator(GRAPH)
    assert plot.locator(".main-svg").first.evaluate("(svg) => svg.getBoundingClientRect().width") <= 700
    assert plot.evaluate(OVERLAPS) == []
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert plot.get_attribute("data-drawn") == "1000"
    page.context.close()


def test_a_pinned_run_reaches_the_file(page: Any, server: str) -> None:
    concept = with_lever(page, server)
    page.fill("#steer-prompt textarea", "Call me Ishmael")
    page.click("#steer-go")
    page.wait_for_selector("#comparison .is-steered .fc-token")
    page.click("#steer-pin")
    page.get_by_text("Pinned as").wait_for()
    page.get_by_role("tab", name="Report", exact=True).click()
    page.get_by_label("Pinned steering").wait_for()
    page.wait_for_function("document.querySelector('#report-pins').innerText.includes('call-me-ishmael')")
    page.wait_for_function("document.querySelector('#report-graph input').value === 'synthetic'")  # the open graph
    page.fill("#report-title textarea", "<b>Mine</b>")
    page.wait_for_function("document.querySelector('#report-command').innerText.includes('--pins')")
    page.click("#report-go")
    with page.expect_download() as download:
        page.click("#report-file")
    assert page.locator("#report-twin").is_visible()
    assert download.value.suggested_filename == "report.html"
    file = artefact_path("report", "synthetic") / "report.html"
    page.requested.clear()
    page.goto(file.as_uri())
    page.wait_for_selector(".plot[data-drawn] .main-svg")
    assert page.inner_text("h1") == "<b>Mine</b>"
    mine = page.locator("[id^=steering-]", has_text="Call me Ishmael")  # what other tests pinned is there too
    assert "whales" in mine.inner_text()
    mine.locator(f"a:has-text('{concept}')").first.click()
    assert page.locator(f"#concept-{concept.replace('/', '-')}").is_visible()
    assert [url for url in page.requested if not url.startswith("file:")] == []
    assert page.failures == []
