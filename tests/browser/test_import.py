"""Two files that SAELens wrote become a probe in the browser; its graph and a lever on it open there too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.worker import run_job
from probes.hierarchy.probe import open_probe
from probes.runs import Run
from tests.browser.conftest import outside
from tests.browser.test_tour import click_a_concept
from tests.fixtures.peers import peer
from tests.fixtures.served import Served, free_port
from tests.fixtures.tiny_folder import World, tiny_world

pytestmark = pytest.mark.browser

FEW = {"chunks": 4, "minimum_chunks": 2}
QUICK = {"edges": 12, "rows": 4000, "bootstrap_fits": 0, "loss_chunks": 0, "evidence": FEW}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    lens, made = peer("sae_lens"), tiny_world(tmp_path / "tiny", name="seen")
    for name in ("low", "high"):
        lens.SAE.load_from_disk(getattr(made, name)).save_model(tmp_path / "by-saelens" / name)
    return made._replace(low=str(tmp_path / "by-saelens" / "low"), high=str(tmp_path / "by-saelens" / "high"))


def fill(page: Any, field: str, text: str) -> None:
    page.fill(f"#train-{field} textarea, #train-{field} input", text)
    page.press(f"#train-{field} textarea, #train-{field} input", "Tab")


def test_two_files_become_a_probe_a_graph_and_a_lever(page: Any, tmp_path: Path, world: World) -> None:
    server = Served(tmp_path / "home", free_port(), {"FULCRUM_DTYPE": "float32"})
    try:
        page.goto(f"{server.ready()}/?tab=train")
        page.get_by_label("Import dictionaries", exact=True).check()
        page.wait_for_selector("#train-path")
        fill(page, "path", f"{world.low},{world.high}")
        fill(page, "level", "low,high")
        fill(page, "store", world.store)
        fill(page, "name", "from-files")
        page.wait_for_function("document.querySelector('#train-command').innerText.includes('from-files')")
        command = page.inner_text("#train-command")
        assert "python -m app import" in command and f"{world.low},{world.high}" in command.replace("\n", "")
        page.click("#train-start")
        page.wait_for_function(
            "document.querySelector('#train-status textarea').value.includes('Written to')", timeout=300_000
        )
        probe = open_probe("from-files")
        assert [level.name for level in probe.levels] == ["low", "high"] and len(probe.maps) == 1
        run = Run.open(page.input_value("#train-run input"))
        page.goto(f"{server.url}/?tab=runs")
        page.wait_for_selector("#runs-table >> visible=true")
        listed = "document.querySelector('#runs-table').textContent"
        page.wait_for_function(f"{listed}.includes('{run.slug}') && {listed}.includes('import')")

        run_job("graph", name="from-files", probe="from-files", dtype="float32", **QUICK)
        page.goto(f"{server.url}/?graph=from-files")
        page.wait_for_selector("#graph-plot .fc-graph-plot[data-drawn]")
        page.click("#graph-unsupported")  # random weights leave few edges that interventions support
        page.wait_for_function("document.querySelector('.fc-graph-plot').data.some((t) => t.ids?.length > 2)")
        concept = click_a_concept(page)
        assert concept.split("/")[0] in ("low", "high")
        assert page.locator("#inspector").inner_text().count("\n") > 5
        page.click("#add-lever")
        page.click("#to-steer")
        page.wait_for_selector("#lever-rack .fc-lever")
        page.fill("#steer-prompt textarea", "The whale swam")
        page.fill("#lever-exact-0", "8")
        page.press("#lever-exact-0", "Tab")
        page.click("#steer-go")
        page.wait_for_selector("#comparison .is-steered .fc-token")
        texts = [page.inner_text(f"#comparison .is-{name}") for name in ("unsteered", "steered")]
        assert texts[0] != texts[1]
        assert page.failures == [] and outside(page.requested, server.url) == []
    finally:
        server.kill()
