"""The server's own promises: it needs no torch to start, answers its own name only, and guards every answer."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.graphs import GraphLibrary
from app.settings import Settings
from concept_graphs.graph import ConceptGraph
from probes.artefacts import artefact_path, home
from probes.errors import WorkbenchError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def client(synthetic_graph: str) -> TestClient:
    from app.server import create_app

    return TestClient(create_app(Settings()), base_url="http://127.0.0.1")


def test_starting_the_server_imports_no_torch_and_no_numba() -> None:
    code = (
        "import sys; from app.server import create_app; from app.settings import Settings; create_app(Settings());"
        "sys.exit(bool({'torch', 'transformers', 'numba'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120).returncode == 0


def test_a_page_is_asked_for_without_copying_the_application(page: Any) -> None:
    """Gradio copies the page's config for every visitor. An object in it, such as a bound event, brings along all it
    can reach: the other components, opened graphs, models."""
    strange = [
        f"{part['props'].get('elem_id')}: {name}"
        for part in page.config["components"]
        for name, value in part["props"].items()
        if not (plain(value) or isinstance(value, FunctionType))  # a function is never copied
    ]
    assert strange == []


def plain(value: Any) -> bool:
    """Whether a value is nothing but JSON."""
    if isinstance(value, dict):
        return all(isinstance(name, str) and plain(one) for name, one in value.items())
    if isinstance(value, list | tuple):
        return all(plain(one) for one in value)
    return value is None or isinstance(value, str | int | float)


def test_asking_what_a_reference_is_imports_no_torch() -> None:
    code = (
        "import sys; from probes.subjects.registry import SUBJECTS;"
        "[SUBJECTS.load(name)().recognises('bundled/smollm2') for name in SUBJECTS];"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120).returncode == 0


def test_a_graph_that_several_ask_for_at_once_is_read_once(
    synthetic_graph: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, load = [], ConceptGraph.load

    def slowly(path: Path) -> ConceptGraph:
        read.append(path)
        time.sleep(0.2)
        return load(path)

    monkeypatch.setattr(ConceptGraph, "load", slowly)
    library = GraphLibrary()
    with ThreadPoolExecutor(4) as several:
        found = list(several.map(library.open, [synthetic_graph] * 4))
    assert len(read) == 1 and all(one is found[0] for one in found)


def test_every_answer_carries_the_security_headers(client: TestClient) -> None:
    for path in ("/", "/static/plotly.min.js", "/graph/view.json?ref=nothing", "/no-such-page"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_a_foreign_host_or_origin_is_refused(client: TestClient) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 403
    refused = client.post("/gradio_api/call/steer", json={"data": []}, headers={"origin": "https://evil.example"})
    assert refused.status_code == 403


def test_the_graph_endpoint_gives_figures_and_sentences(client: TestClient, synthetic_graph: str) -> None:
    figure = client.get("/graph/view.json", params={"ref": synthetic_graph}).json()
    assert figure["data"] and figure["links"]
    for ref in ("../../etc/passwd", "/etc/passwd", "nothing", "bundled/../x"):
        answer = client.get("/graph/view.json", params={"ref": ref})
        assert answer.status_code == 404
        assert "There is no graph" in answer.json()["message"]
    for view in ("{", '{"colour": 1}', '{"top_k": -1}'):
        assert client.get("/graph/view.json", params={"ref": synthetic_graph, "view": view}).status_code == 404


def test_no_docs_and_no_file_outside_the_cache(client: TestClient) -> None:
    for path in ("/docs", "/openapi.json", "/gradio_api/file=/etc/passwd", "/static/../server.py"):
        assert client.get(path).status_code in {403, 404}


def test_only_named_endpoints_are_public(client: TestClient) -> None:
    named = set(client.get("/gradio_api/info").json()["named_endpoints"])
    assert named <= {"/steer", "/report"}


def test_a_port_in_use_is_one_sentence() -> None:
    import socket

    from app.server import serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(WorkbenchError, match="--port"):
            serve(Settings(port=taken.getsockname()[1]))


FORBIDDEN = (
    "gr.Plot(",
    "gr.FileExplorer",
    "gr.load(",
    'datatype="html"',
    "sanitize_html=False",
    'include_plotlyjs="cdn"',
)


def test_components_that_execute_outside_text_are_never_used() -> None:
    for path in (ROOT / "app").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not [word for word in FORBIDDEN if word in text], path
        if "gr.HTML(" in text.replace("class Drawn(gr.HTML,", ""):
            assert path.name == "base.py"
        assert "{{" not in text or "html_template" not in text, path


def test_home_is_not_served(client: TestClient) -> None:
    secret = home() / "secret.txt"
    secret.write_text("x")
    assert client.get(f"/gradio_api/file={secret}").status_code in {403, 404}
    assert artefact_path("graph", "synthetic").is_dir()


def test_outcome_of_a_comparison_has_one_row_per_continuation() -> None:
    from app.pages.outcome import outcome_value

    text: dict[str, Any] = {"name": "unsteered", "prompt": "p", "tokens": ["a"], "text": "a", "damage": None}
    row = {**text, "damage_per_token": []}
    steered = {**row, "name": "steered", "damage": -0.5, "damage_per_token": [-0.5]}
    control = {**row, "name": "asking", "prompt": "Write. p"}
    data = {"prompt": "p", "seed": 0, "unsteered": row, "steered": steered, "controls": [control]}
    value = outcome_value({**data, "levers": [], "notices": []})
    assert [line["name"] for line in value["rows"]] == ["steered", "asking"]
    assert value["unsteered"]["tokens"][0]["value"] == -0.5
