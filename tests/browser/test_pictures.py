"""Steering pictures in the browser: paint, set an interval, move the lever, see three pictures and what changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.artefacts import artefact_path
from tests.browser.conftest import Pool, new_page, outside, running

pytestmark = pytest.mark.browser

BODY = "document.querySelector('#pictures .fc-pictures-body').dataset"
DRAWN = f"(run) => {BODY}.run && {BODY}.run !== run"


@pytest.fixture(scope="module")
def desk(
    chromium: Any, data_home: Path, synthetic_graph: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """The Steer page with a probe of a small pipeline that has no graph, and one lever on it."""
    from tests.fixtures.painted import save_painted
    from tests.fixtures.pictures import painter

    save_painted(tmp_path_factory.mktemp("pipeline"))
    with running(pool=Pool(painter())) as address, new_page(chromium) as page:
        page.goto(f"{address}/?tab=steer")
        page.click("#steer-source input")
        page.get_by_role("option", name="probe painted").click()
        page.wait_for_selector("#steer-add", state="visible")
        page.wait_for_function("document.querySelector('#steer-level input').value === 'low'")
        page.click("#steer-add")
        page.wait_for_selector("#lever-rack .fc-lever")
        page.fill("#picture-prompt textarea", "a red apple")
        page.fill("#picture-steps input", "4")
        page.fill("#picture-count input", "1")
        yield page
        assert page.failures == [] and outside(page.requested, address) == []


def strength(page: Any, value: float) -> None:
    page.fill("#lever-exact-0", f"{value:g}")
    page.press("#lever-exact-0", "Tab")
    page.wait_for_function(f"document.querySelector('#lever-strength-0').value == '{value:g}'")


def generated(page: Any) -> dict[str, Any]:
    """The addresses of the three pictures and the size of the change."""
    before = page.evaluate(f"{BODY}.run || ''")
    page.click("#picture-go")
    page.wait_for_function(DRAWN, arg=before)
    names = ("before", "after", "difference")
    found = {name: page.get_attribute(f"#picture-{name}", "src") for name in names}
    return found | {"rmse": float(page.evaluate(f"{BODY}.rmse"))}


def reported(page: Any, found: dict[str, Any]) -> None:
    """Pin what is shown, write a report, and find the same three pictures in its file, opened from disk."""
    page.click("#picture-pin")
    page.get_by_text("Pinned as").wait_for()
    page.get_by_role("tab", name="Report", exact=True).click()
    page.wait_for_function("document.querySelector('#report-pins').innerText.includes('a-red-apple')")
    page.click("#report-graph input")
    page.get_by_role("option", name="synthetic", exact=True).click()
    page.click("#report-go")
    page.wait_for_selector("#report-file", state="visible")
    opened = page.context.new_page()
    opened.goto((artefact_path("report", "synthetic") / "report.html").as_uri())
    images = opened.locator("#steering-1 .images img")
    addresses = images.evaluate_all("(all) => all.map((one) => one.naturalWidth && one.src)")
    assert addresses == [found[name] for name in ("before", "after", "difference")]
    assert "--levers levers.json" in opened.inner_text("#steering-1 .command")
    opened.close()
    page.get_by_role("tab", name="Steer", exact=True).click()


def test_a_painted_mask_and_an_interval_steer_and_strength_zero_does_not(desk: Any) -> None:
    # The interval of the lever's own level is shown; whoever changes one end keeps the other.
    desk.wait_for_function("document.querySelector('#noise-low-exact').value === '0.2'")
    # A mask that is empty is told of in one sentence, and nothing on the page is lost.
    desk.check("#mask-on")
    desk.click("#picture-go")
    desk.wait_for_function("document.querySelector('#pictures').innerText.includes('nothing is painted')")
    assert desk.input_value("#picture-prompt textarea") == "a red apple"
    box = desk.locator("#mask-canvas").bounding_box()
    desk.mouse.move(box["x"] + 5, box["y"] + 5)
    desk.mouse.down()
    desk.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    desk.mouse.up()
    desk.wait_for_function("document.querySelector('#lever-rack').innerText.includes('where painted')")
    desk.fill("#noise-high-exact", "1.4")
    desk.press("#noise-high-exact", "Tab")
    desk.click("#picture-go")
    desk.wait_for_function("document.querySelector('#pictures').innerText.includes('noise interval')")
    desk.fill("#noise-high-exact", "0.8")
    desk.press("#noise-high-exact", "Tab")
    desk.wait_for_function("document.querySelector('#lever-rack').innerText.includes('noise 0.80 to 0.20')")
    strength(desk, 6)
    found = generated(desk)
    assert found["rmse"] > 0 and len({found["before"], found["after"], found["difference"]}) == 3
    shown = desk.inner_text("#picture-evidence")
    assert "random latents of equal norm" in shown and "change elsewhere" in shown
    assert desk.locator("#noise-timeline .fc-previews img").count() > 2
    reported(desk, found)
    # Long work is told of, ends at the next step when asked to, and leaves what is shown.
    desk.fill("#picture-steps input", "200")
    desk.click("#picture-sweep")
    desk.wait_for_selector("#pictures progress")
    desk.click("#picture-stop")
    desk.wait_for_function("document.querySelector('#pictures').innerText.includes('Stopped.')")
    assert desk.get_attribute("#picture-after", "src") == found["after"]
    desk.fill("#picture-steps input", "4")
    strength(desk, 0)
    same = generated(desk)
    assert same["before"] == found["before"] == same["after"]
    assert same["rmse"] == 0
    desk.wait_for_function("document.querySelector('#steer-command').innerText.includes('--levers levers.json')")
