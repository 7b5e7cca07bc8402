"""Choosing an architecture on the Train page shows its own fields, and the command follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.served import Served, free_port
from tests.fixtures.stores import make_store

pytestmark = pytest.mark.browser


def test_the_fields_of_the_chosen_architecture_are_shown_and_used(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    make_store(tmp_path / "stores" / "toy")
    server = Served(tmp_path, free_port(), {})
    try:
        page.goto(f"{server.ready()}/?tab=train")
        page.get_by_role("button", name="Low: The lowest level").click()
        price, widths = page.locator("#train-low-autoencoder-relu-price"), "#train-low-autoencoder-matryoshka-widths"
        page.locator("#train-low-autoencoder").wait_for(state="visible")
        assert not price.is_visible() and not page.locator(widths).is_visible()
        page.click("#train-low-autoencoder input")
        page.get_by_role("option", name="matryoshka").click()
        page.locator(widths).wait_for(state="visible")
        assert not price.is_visible()
        page.fill(f"{widths} textarea", "0.25,0.5")
        page.wait_for_function(
            "document.querySelector('#train-command').innerText.replace(/\\s+/g, ' ')"
            ".includes('--low.autoencoder matryoshka --low.autoencoder.widths 0.25,0.5')"
        )
    finally:
        server.kill()
