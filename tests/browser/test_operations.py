"""Every operation from the Steer page on the bundled model: strength 0 changes nothing, another strength does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.desk import ON_SCREEN
from concept_graphs.graph import ConceptGraph
from steering.levers import OPERATIONS
from tests.browser.conftest import Pool, new_page, outside, running

pytestmark = [pytest.mark.browser, pytest.mark.model]

GRAPH = "bundled/text"
PROMPT = "The president of the United States stood up and said that"
TOKENS = "(side) => [...document.querySelectorAll(`#comparison .is-${side} .fc-token`)].map((t) => t.textContent)"


@pytest.fixture(scope="module")
def desk(smollm2: Any, chromium: Any) -> Iterator[Any]:
    """The Steer page of the real server and bundled graph, with a lever on the most frequent middle concept
    (so that a short prompt holds it); greedy, few tokens, no controls."""
    middle = [node for node in ConceptGraph.open(GRAPH).nodes if node.level == "middle"]
    concept = max(middle, key=lambda node: node.frequency).id
    with running(pool=Pool(smollm2)) as address, new_page(chromium) as page:
        page.goto(f"{address}/?graph={GRAPH}&concept={concept}")
        page.click("#add-lever")
        page.click("#to-steer")
        page.wait_for_selector("#lever-rack .fc-lever")
        page.fill("#steer-prompt textarea", PROMPT)
        page.fill("#steer-tokens input", "6")
        page.fill("#steer-temperature input", "0")
        page.uncheck("#steer-controls input")
        yield page
        assert page.failures == [] and outside(page.requested, address) == []


def generated(page: Any, strength: float) -> tuple[list[str], list[str], str]:
    """Tokens unsteered and steered, and everything the comparison says."""
    page.fill("#lever-exact-0", f"{strength:g}")
    page.press("#lever-exact-0", "Tab")
    page.wait_for_function(f"document.querySelector('#lever-strength-0').value == '{strength:g}'")
    page.evaluate("document.querySelector('#comparison .fc-columns')?.setAttribute('data-old', '')")
    page.click("#steer-go")
    page.wait_for_selector("#comparison .fc-columns:not([data-old]) .is-steered .fc-token", timeout=300_000)
    return page.evaluate(TOKENS, "unsteered"), page.evaluate(TOKENS, "steered"), page.inner_text("#comparison")


def test_the_rack_has_every_operation(desk: Any) -> None:
    offered = desk.eval_on_selector_all("#lever-operation-0 option", "(rows) => rows.map((row) => row.value)")
    assert offered == list(OPERATIONS) == list(ON_SCREEN)


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_strength_zero_is_identical_and_another_is_not(desk: Any, operation: str) -> None:
    desk.select_option("#lever-operation-0", operation)
    if operation == "swap":
        desk.select_option("#lever-target-0", index=5)
    if operation == "patch":
        desk.fill("#lever-donor-0", "Call me Ishmael. Some years ago, never mind how long, I went to sea. " * 3)
    if operation == "cap":
        desk.fill("#lever-aim-0", "0")
    plain, same, said = generated(desk, 0)
    assert plain == same and len(plain) > 0
    assert "moved nothing" in said
    plain_again, changed, said = generated(desk, -4 if operation == "scale" else 6)
    assert plain_again == plain
    assert changed != plain or "moved nothing" in said or "did not change" in said
    if operation in {"add", "set"}:  # these change every place, whether the prompt holds the concept or not
        assert changed != plain
