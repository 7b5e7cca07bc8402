"""Take the README's picture again: the Graph page on the bundled graph, with a concept picked, in Chromium."""

from __future__ import annotations

import argparse
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT = 1400, 860
LARGEST = 400_000  # bytes
COLOURS = 192


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", default="bundled/text", help="Graph to show. Default: bundled/text.")
    parser.add_argument("--concept", default="", help="Concept to pick. Default: the best connected of the middle.")
    parser.add_argument("--out", type=Path, default=HERE / "graph.png", help="File to write.")
    asked = parser.parse_args()
    concept = asked.concept or best_connected(asked.graph)
    with tempfile.TemporaryDirectory() as home, served(home) as address:
        picture = photographed(f"{address}/?graph={asked.graph}&concept={concept}")
    content = compact(picture)
    if len(content) > LARGEST:
        raise SystemExit(f"The picture has {len(content):,} bytes, more than {LARGEST:,}: use fewer colours.")
    asked.out.write_bytes(content)
    print(f"{asked.out}: {concept}, {len(content):,} bytes")


def best_connected(ref: str) -> str:
    """The concept of a middle level with the most composed edges on its weaker side, named by a word, then in all."""
    from concept_graphs.graph import ConceptGraph

    graph = ConceptGraph.open(ref)
    middle = graph.meta.levels[len(graph.meta.levels) // 2].name

    def merit(concept: str) -> tuple[int, bool, int, float]:
        sides = graph.parents(concept), graph.children(concept)
        composed = [sum(edge.verdict == "composed" for edge in side) for side in sides]
        node = graph.node(concept)
        return min(composed), node.label.strip()[:1].isalpha(), sum(composed), node.detection or 0.0

    return max((key for key in graph.nodes["id"] if key.startswith(f"{middle}/")), key=merit)


@contextmanager
def served(home: str) -> Iterator[str]:
    """A server of its own on a free port, with an empty data folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-P", "-m", "app", "serve", "--port", str(port)]
    server = subprocess.Popen(command, env=os.environ | {"FULCRUM_HOME": home}, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError:
                if server.poll() is not None:
                    raise SystemExit("The server ended before it answered.") from None
                time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=20)


def photographed(address: str) -> bytes:
    """The page at `address` as a PNG, in the light theme, once its picture and its concept are drawn."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("FULCRUM_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.set_default_timeout(60_000)
        page.goto(address)
        page.wait_for_selector("#graph-plot .fc-graph-plot[data-drawn]")
        page.click("#first-steps button")
        page.wait_for_selector("#inspector #concept-label")
        page.wait_for_timeout(2500)  # a resize fetches the figure with labels fitted to the final width
        picture = page.screenshot()
        browser.close()
    return picture


def compact(picture: bytes) -> bytes:
    """The same PNG with a palette: text and lines keep their edges, the file is a third as large."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as image:
        reduced = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    content = io.BytesIO()
    reduced.save(content, "PNG", optimize=True)
    return content.getvalue()


if __name__ == "__main__":
    main()
