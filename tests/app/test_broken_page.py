"""A page that cannot be built shows one sentence; the server and the other pages come up all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import server
from app.settings import Settings

# What each page alone has, by the element's id.
OWN = {
    "Graph": "graph-plot",
    "Steer": "steer-go",
    "Train": "train-kind",
    "Identifiability": "known-run",
    "Grid": "grid-run",
    "Runs": "runs-table",
    "Report": "report-go",
}


def elements(monkeypatch: pytest.MonkeyPatch, pages: dict[str, str]) -> dict[str, Any]:
    """Visible components of the page that a server with these pages serves, by element id."""
    monkeypatch.setattr(server, "PAGES", pages)
    client = TestClient(server.create_app(Settings()), base_url="http://127.0.0.1")
    assert client.get("/").status_code == 200
    config = client.get("/config").json()
    parts = {part["id"]: part["props"] for part in config["components"]}
    shown: dict[str, Any] = {}

    def walk(node: dict[str, Any], visible: bool) -> None:
        props = parts.get(node["id"], {})
        visible = visible and props.get("visible") is not False
        if visible and props.get("elem_id"):
            shown[props["elem_id"]] = props
        for child in node.get("children") or ():
            walk(child, visible)

    walk(config["layout"], True)
    return shown


@pytest.mark.parametrize("broken", list(server.PAGES))
def test_any_page_may_be_missing(monkeypatch: pytest.MonkeyPatch, synthetic_graph: str, broken: str) -> None:
    shown = elements(monkeypatch, {**server.PAGES, broken: "app.pages.no_such_page"})
    assert {name for name, element in OWN.items() if element in shown} == set(OWN) - {broken}
    (said,) = shown[f"broken-{broken.lower()}"]["value"]["warnings"]
    assert said.startswith(f"The {broken} page cannot be shown: ModuleNotFoundError: No module named")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import nothing_of_this_name", "No module named"),
        ("def build(context: object) -> None:", "IndentationError"),
        ("raise RuntimeError('<b>no</b>')", "RuntimeError: <b>no</b>"),
        ("import gradio as gr\ndef build(context):\n    gr.Button(elem_id='half')\n    1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_page_may_fail_in_any_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, why: str) -> None:
    name = f"page_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    shown = elements(monkeypatch, {**server.PAGES, "Runs": name})
    assert why in shown["broken-runs"]["value"]["warnings"][0]
    assert "half" not in shown
    assert {OWN["Graph"], OWN["Report"]} <= set(shown)
