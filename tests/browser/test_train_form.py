"""Forms on the Train page: an architecture shows its own fields, and a capture of pictures runs from its form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import says
from tests.fixtures.served import Served, free_port
from tests.fixtures.stores import make_store

pytestmark = pytest.mark.browser

COMMAND = says("train-command")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, with a data folder that holds one store of a text subject."""
    folder = tmp_path_factory.mktemp("train-page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FULCRUM_HOME", str(folder))
        make_store(folder / "stores" / "toy")
        server = Served(folder, free_port(), {})
        try:
            yield server.ready()
        finally:
            server.kill()


def test_the_fields_of_the_chosen_architecture_are_shown_and_used(page: Any, address: str) -> None:
    page.goto(f"{address}/?tab=train")
    page.get_by_role("button", name="Low: The lowest level").click()
    price, widths = page.locator("#train-low-autoencoder-relu-price"), "#train-low-autoencoder-matryoshka-widths"
    page.locator("#train-low-autoencoder").wait_for(state="visible")
    assert not price.is_visible() and not page.locator(widths).is_visible()
    page.click("#train-low-autoencoder input")
    page.get_by_role("option", name="matryoshka").click()
    page.locator(widths).wait_for(state="visible")
    assert not price.is_visible()
    page.fill(f"{widths} textarea", "0.25,0.5")
    page.wait_for_function(COMMAND, arg="--low.autoencoder matryoshka --low.autoencoder.widths 0.25,0.5")


def test_pictures_are_captured_from_typed_prompts_and_training_starts_from_them(page: Any, address: str) -> None:
    page.goto(f"{address}/?tab=train")
    page.wait_for_selector("#train-start")
    page.get_by_label("Capture activations", exact=True).check()
    page.wait_for_selector("#train-corpus")
    page.click("#train-row-capture input")
    page.get_by_role("option", name="Image diffusion").click()
    page.wait_for_selector("#train-prompts")
    # A subject of another kind is told of before anything starts.
    page.fill("#train-subject input", "bundled/smollm2-135m")
    page.press("#train-subject input", "Tab")
    page.fill("#train-prompts textarea", "red circle upper left\n\nblue cross lower right\n")
    page.click("#train-start")
    page.get_by_text("is not known as image diffusion").wait_for()
    page.click("#train-subject input")
    page.get_by_role("option", name="bundled/toy", exact=True).click()
    page.fill("#train-steps input", "6")
    page.wait_for_function(COMMAND, arg="--name my-store --subject bundled/toy --prompts 'red circle upper left")
    page.wait_for_function(COMMAND, arg="--steps 6")
    page.click("#train-start")
    page.wait_for_function("document.querySelector('#train-status textarea').value.includes('Written to')")
    page.get_by_label("Train a probe", exact=True).check()
    page.wait_for_function("document.querySelector('#train-store input')?.value === 'my-store'")
    assert page.locator("#train-preset input:checked").input_value() == "images"
    assert page.failures == []
