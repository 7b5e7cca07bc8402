"""A real server on a free port with a made-up graph and a fake subject, and a real Chromium."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.fixtures.served import free_port

FLAGS = (
    "--no-sandbox --disable-gpu --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update"
).split()


def outside(requested: Sequence[str], server: str) -> list[str]:
    """The addresses a page asked for that are not of the server's own origin."""
    own = urlsplit(server).netloc
    asked = [(url, urlsplit(url)) for url in requested]
    local = {"data", "blob", "about"}
    return [url for url, parts in asked if parts.scheme not in local and parts.netloc != own]


class Pool:
    """Stands where the subjects are: it hands out what it was given and loads nothing."""

    def __init__(self, subject: Any = None) -> None:
        self._subject = subject

    @contextmanager
    def use(self, ref: str) -> Iterator[Any]:
        yield self._subject


def fake_compare(subject: Any, graph: Any, levers: Any, prompt: str, **rest: Any) -> dict[str, Any]:
    """A comparison whose steered text depends on the strength, as a real one's would."""
    strength = levers[0].strength
    steered = [" whales"] * round(4 * strength) or [" plain", " text"]
    row: dict[str, Any] = {"name": "unsteered", "prompt": prompt, "tokens": [" plain", " text"], "text": " plain text"}
    return {
        "subject": "fake",
        "probe": "bundled/text",
        "prompt": prompt,
        "seed": rest["seed"],
        "temperature": 0.7,
        "unsteered": {**row, "damage": None, "damage_per_token": []},
        "steered": {
            **row,
            "name": "steered",
            "tokens": steered,
            "text": "".join(steered),
            "damage": -0.1 * strength,
            "damage_per_token": [-0.1 * strength] * 2,
        },
        "controls": [{**row, "name": "random latents of equal norm", "damage": -0.2, "damage_per_token": []}],
        "levers": [{"lever": levers[0].model_dump(), "places": 5, "moved": 5, "share": 0.3, "largest_share": 0.4}],
        "notices": [] if strength else ["Lever 1 moved nothing."],
    }


@contextmanager
def running(**exchanged: Any) -> Iterator[str]:
    """The application on a free port, with some of its parts exchanged; gives its address."""
    import uvicorn

    from app.server import create_app
    from app.settings import Settings

    port = free_port()
    app = create_app(Settings(port=port), **exchanged)
    serving = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=serving.run, daemon=True)
    thread.start()
    while not serving.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    serving.should_exit = True
    thread.join(timeout=10)


@pytest.fixture(scope="session")
def server(synthetic_graph: str) -> Iterator[str]:
    with running(compare=fake_compare, pool=Pool()) as address:
        yield address


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's Chromium. FULCRUM_REQUIRE_BROWSER=1 makes its absence a failure."""
    path = os.environ.get("FULCRUM_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        if os.environ.get("FULCRUM_REQUIRE_BROWSER") == "1":
            pytest.fail("no Chromium was found; install Debian's chromium or set FULCRUM_CHROMIUM")
        pytest.skip("no Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def new_page(chromium: Any) -> Iterator[Any]:
    """A page of a context of its own; `page.requested` lists every address it asked for."""
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.requested = []
    page.failures = []
    page.on("request", lambda request: page.requested.append(request.url))
    page.on("websocket", lambda socket: page.requested.append(socket.url))
    page.on("pageerror", lambda error: page.failures.append(str(error)))
    page.set_default_timeout(180_000)
    yield page
    context.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A fresh page."""
    with new_page(chromium) as opened:
        yield opened


def says(box: str) -> str:
    """Script: whether the box of that id holds the words it is given, however its lines break."""
    return f"(part) => document.querySelector('#{box}').innerText.replace(/\\s+/g, ' ').includes(part)"
