"""The foldable panels of the Graph page: what is there is shown, what is not can be made, what cannot is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from concept_graphs.support import Support, SupportConfig, SupportRecord
from concept_graphs.tradeoff_curve import TRADEOFF_FILE, PairCurve, PricePoint, Tradeoff
from probes.artefacts import artefact_path, parent_of, write_manifest
from probes.files import write_json
from tests.browser.test_narrow import HIGH, MAY_SCROLL, SIDEWAYS, WIDE
from tests.browser.test_tour import open_graph
from tests.fixtures.graphs import make_graph

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def graph(server: str, data_home: Path) -> Any:
    """The made-up graph, a trade-off of its probe, and a support in which every concept was on half of the time."""
    made = make_graph(seed=1, hostile=True)
    probe = parent_of(made.meta.probe, "probe")
    point = PricePoint(price=0.01, edges=8, kept=8, bits=5, edge_bits=0.1, low=4.5, high=5.5, folds=[5, 5])
    curve = PairCurve(
        lower="low", upper="middle", targets=4, rows=99, chunks=9, plain=9, points=[point], chosen=0.01
    )  # fmt: skip
    found = Tradeoff(probe="p", probe_sha256=probe.sha256, store="s", curves=[curve], chosen=0.01)
    folder = artefact_path("evaluation", "made-up")
    folder.mkdir(parents=True)
    write_json(folder / TRADEOFF_FILE, found.model_dump(mode="json"))
    write_manifest(folder, kind="evaluation", name="made-up")
    on = np.random.default_rng(0).random((6, len(made.nodes))) < 0.5
    record = SupportRecord(
        concepts=made.nodes["id"], examples=6, unit="row", settings=SupportConfig(graph="synthetic")
    )  # fmt: skip
    folder = artefact_path("support", "made-up")
    folder.mkdir(parents=True)
    Support(record, sparse.csc_matrix(on)).save(folder)
    write_manifest(folder, kind="support", name="made-up", parents={"probe": probe})
    return made


def unfold(page: Any, name: str) -> None:
    page.locator(f"#{name} button").first.click()


def pick(page: Any, *concepts: str) -> None:
    for concept in concepts:
        page.locator("#compose-pick input").click()
        page.locator("#compose-pick input").fill(concept)
        page.keyboard.press("Enter")


@pytest.mark.parametrize(("wide", "scheme"), [(1400, "light"), (WIDE, "dark")])
def test_a_combination_is_looked_up_and_the_curve_is_drawn(
    chromium: Any, server: str, graph: Any, wide: int, scheme: str
) -> None:
    context = chromium.new_context(viewport={"width": wide, "height": HIGH}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(180_000)
    open_graph(page, server)
    unfold(page, "tradeoff")
    page.wait_for_selector("#tradeoff-plot .js-plotly-plot")
    said = page.locator("#tradeoff-line textarea")
    page.wait_for_function("document.querySelector('#tradeoff-line textarea')?.value.includes('edge-weight 0.01')")
    assert said.is_visible() and not page.locator("#tradeoff-make").is_visible()
    unfold(page, "compose")
    chosen = [key for key in graph.nodes["id"] if key.startswith("high/")][:2]
    page.wait_for_selector("#compose-pick input")
    page.wait_for_timeout(1000)
    pick(page, *chosen)
    page.wait_for_function("document.querySelector('#compose-line textarea')?.value.includes('modules covered')")
    page.wait_for_function("/covered|missing/.test(document.querySelector('#compose-table')?.innerText || '')")
    assert page.evaluate("window.__pwn") is None
    assert page.evaluate("document.documentElement.scrollWidth") <= wide
    assert page.evaluate(SIDEWAYS, [*MAY_SCROLL, "#compose-table"]) == []
    context.close()
