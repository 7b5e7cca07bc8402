"""What the README promises: its commands run, print what the schemas say, and nothing leaves the machine."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from app.json_schemas import FOLDER, PRINTED, schema_text
from concept_graphs.schema import SCHEMA_FILE
from probes.activations.corpora import read_corpus
from tests.fixtures.listening import Ear
from tests.fixtures.served import Served, free_port

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
Ran = Callable[..., str]


@pytest.fixture(scope="module")
def ear(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ear]:
    """Listens to every process this module starts; what any of them wanted outside fails the module."""
    ear = Ear(tmp_path_factory.mktemp("ear"))
    yield ear
    assert ear.heard().outside == []


@pytest.fixture(scope="module")
def ran(ear: Ear, data_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Runs Python in an empty folder, listened to; returns what it printed."""
    folder = tmp_path_factory.mktemp("elsewhere")

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=folder, env=ear.beside(), capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


@pytest.fixture(scope="module")
def made(ran: Ran, smollm2: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tour in Python on a small text file; returns what it printed. Its artefacts are called `toured`."""
    text = tmp_path_factory.mktemp("text") / "notes.txt"
    chapters = (document.text for document in read_corpus("bundled/moby-dick"))
    text.write_text("\n\n".join(chapter for _, chapter in zip(range(4), chapters, strict=False))[:22_000])
    return ran(str(ROOT / "assets" / "tour.py"), str(text), "toured")


def checked(printed: str, schema: Path) -> Any:
    """The one JSON object that was printed, once it fits the schema."""
    content = json.loads(printed)
    jsonschema.validate(content, json.loads(schema.read_text()), jsonschema.Draft202012Validator)
    return content


@pytest.mark.parametrize("name", PRINTED)
def test_published_schemas_are_current(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == schema_text(name), "run: make schemas"
    assert f"`{name}.json`" in README


def test_the_readme_shows_the_tour_script() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    script = (ROOT / "assets" / "tour.py").read_text(encoding="utf-8")
    assert blocks == [script]
    assert len([line for line in script.splitlines() if line.strip()]) <= 22


@pytest.mark.model
def test_the_tour_in_python_runs_from_any_folder(made: str, data_home: Path) -> None:
    assert "3 levels" in made
    report = Path(made.splitlines()[-1])
    assert report == data_home / "reports" / "toured" / "report.html"
    assert "The captain said" in report.read_text(encoding="utf-8")


@pytest.mark.model
def test_what_the_tour_made_is_found_by_the_commands(made: str, ran: Ran, data_home: Path) -> None:
    shown = checked(ran("-m", "app", "graph", "show", "toured", "--json"), FOLDER / "graph-show.json")
    assert shown["edges"] > 40 and len(shown["strongest"]) == 20
    graph = json.loads((data_home / "graphs" / "toured" / "graph.json").read_text())
    jsonschema.validate(graph, json.loads(SCHEMA_FILE.read_text()))
    told = checked(ran("-m", "app", "report", "--graph", "toured", "--name", "again", "--json"), FOLDER / "job.json")
    assert told["state"] == "done" and Path(told["artefact"], "report.html").is_file()


def test_commands_on_the_bundled_graph_print_what_their_schemas_say(ran: Ran) -> None:
    shown = checked(ran("-m", "app", "graph", "show", "bundled-text", "--json"), FOLDER / "graph-show.json")
    concept = shown["strongest"][0]["target"]
    one = ran("-m", "app", "graph", "show", "bundled/text", "--concept", concept, "--json")
    assert checked(one, FOLDER / "graph-show-concept.json")["id"] == concept
    measured = ran("-m", "app", "evaluate", "main-job", "--main_job.parts", "graph", "--json")
    rows = checked(measured, FOLDER / "evaluate.json")
    assert rows["suite"] == "main-job" and len(rows["rows"]) > 5


@pytest.mark.model
def test_steering_prints_a_comparison(ran: Ran, smollm2: Any, tmp_path: Path) -> None:
    shown = json.loads(ran("-m", "app", "graph", "show", "bundled/text", "--json"))
    concept = next(e["target"] for e in shown["strongest"] if e["target"].startswith("middle/"))
    asked = shlex.split(f"-m app steer bundled-text --concept {concept} --strength 4 --seed 0 --tokens 5 --json")
    found = checked(ran(*asked, "--prompt", "The captain said"), FOLDER / "steer.json")
    assert found["seed"] == 0 and found["levers"][0]["lever"]["strength"] == 4
    assert found["steered"]["tokens"] != found["unsteered"]["tokens"] and found["levers"][0]["moved"] > 0
    assert found["controls"][0]["name"] == "random latents of equal norm"
    levers = tmp_path / "levers.json"
    levers.write_text(json.dumps({"probe": found["probe"], "levers": [found["levers"][0]["lever"]]}))
    again = shlex.split(f"-m app steer bundled/text --levers {levers} --seed 0 --tokens 5 --no-controls --json")
    assert json.loads(ran(*again, "--prompt", "The captain said"))["steered"] == found["steered"]


@pytest.mark.model
def test_nothing_leaves_the_machine(made: str, ear: Ear, ran: Ran, data_home: Path) -> None:
    """Not one connection or look-up outside by the tour, the commands, and a server that opens its page."""
    server = Served(data_home, free_port(), ear.environment)
    try:
        server.ready()
    finally:
        server.kill()
    ran("-m", "app", "graph", "show", "toured")
    heard = ear.heard()
    assert all(any(part in process for process in heard.processes) for part in ("tour.py", "graph show", "serve"))
    assert heard.outside == []


def test_the_ear_is_not_deaf(tmp_path: Path) -> None:
    ear = Ear(tmp_path)
    for call in ("create_connection(('192.0.2.1', 80), timeout=1)", "getaddrinfo('example.org', 80)"):
        command = [sys.executable, "-P", "-c", f"import socket; socket.{call}"]
        done = subprocess.run(command, env=ear.beside(), capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "the test forbids" in done.stderr
    assert {outside.split()[-1] for outside in ear.heard().outside} == {"192.0.2.1", "example.org"}


def test_every_optional_extra_is_named_where_people_read() -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = set(re.findall(r"^optional-dependencies\.(\w+) = ", declared, re.MULTILINE)) - {"dev"}
    assert extras and extras == set(re.findall(r'pip install "\.\[(\w+)\]"', README))
