"""A cell of a grid is kept from the page and from the command line: one job, one run format, one refusal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from app import jobs, keeping
from app.commands import main
from app.graphs import GraphLibrary
from app.pages.graph import table_of, view_of
from app.pages.inspect import card
from app.worker import execute
from concept_graphs.graph import ConceptGraph
from probes.artefacts import home, read_manifest
from probes.errors import WorkbenchError
from probes.files import sha256_of
from probes.representations.artefact import open_representation
from probes.runs import Run

TINY: dict[str, Any] = {
    "tasks": ["reconstruction", "infonce"],
    "constraints": ["none"],
    "seeds": 1,
    "network": {"width": 8, "rows": 200, "scale_after": 2, "optimiser": {"steps": 4, "batch": 32}},
    "scoring": {"rows": 80},
}
DECODING, CONTRAST = "reconstruction-seed-0-start-0", "infonce-seed-0-start-0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one finished grid."""
    place = tmp_path_factory.mktemp("keeping")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FULCRUM_HOME", str(place))
        execute(jobs.new_run("evaluate", jobs.config_for("evaluate", {"suite": "grid", "name": "g", "grid": TINY})))
    return place


@pytest.fixture
def grid(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The grid in a data folder of the test's own."""
    shutil.copytree(folder, tmp_path / "home")
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path / "home"))
    return Run.open("g")


def test_the_page_and_the_command_keep_the_same_and_the_run_may_go(
    grid: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    name, command = keeping.kept_now(grid.slug, DECODING, "From Page")
    assert name == "from-page"
    assert command.startswith(f"python -m app keep --run g --cell {DECODING} --name 'From Page'")
    assert main(["keep", "g", DECODING, "--name", "typed", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["state"] == "done" and said["artefact"].endswith("graphs/typed")
    first, second = (ConceptGraph.open(one) for one in ("from-page", "typed"))
    assert first.nodes == second.nodes and first.edges == second.edges and first.rows == second.rows
    manifest = read_manifest(home() / "representations" / "typed", verify=True)
    assert manifest.parents["cell"].sha256 == sha256_of(grid.path / "cells" / f"{DECODING}.json")
    assert manifest.parents["grid"].ref == "g" and manifest.parents["grid"].sha256 and manifest.run == said["run"]
    graph = read_manifest(home() / "graphs" / "typed", verify=True)
    assert graph.parents["representation"].sha256 == sha256_of(home() / "representations" / "typed" / "manifest.json")
    shutil.rmtree(grid.path)
    assert open_representation("typed").opened.cell.slug == DECODING


def test_refusals_are_one_sentence_and_leave_no_run(grid: Run, capsys: pytest.CaptureFixture[str]) -> None:
    keeping.kept_now(grid.slug, CONTRAST, "mine")
    runs = len(list((home() / "runs").iterdir()))
    for cell, name, why in (
        (DECODING, "Mine", "there is a representation called mine already, and none is ever overwritten"),
        ("../../etc", "other", "There is no cell '../../etc'"),
        (DECODING, " ", "field name is empty"),
    ):
        with pytest.raises(WorkbenchError, match=why):
            keeping.kept_now(grid.slug, cell, name)
    assert main(["keep", "g", DECODING, "--name", "mine"]) == 2
    assert "ever overwritten" in capsys.readouterr().err
    assert main(["keep", "nowhere", DECODING, "--name", "x"]) == 2
    assert len(list((home() / "runs").iterdir())) == runs and not (home() / "graphs" / "other").exists()


def test_the_graph_page_shows_a_latent_with_its_ends_its_values_and_its_factor(grid: Run) -> None:
    keeping.kept_now(grid.slug, DECODING, "mine")
    opened = GraphLibrary().open("mine")
    value = card(opened, "latents/1")
    facts = {fact["name"]: fact for fact in value["figures"]}
    known = opened.graph.node("latents/1").follows
    assert known is not None and facts["matches factor"]["value"] == known.factor
    assert facts["matches factor"]["note"].endswith("known because the world is")
    assert value["label"] == "latent 1" and [row["end"] for row in value["rows"]] == ["lowest"] * 4 + ["highest"] * 4
    found = value["distribution"]
    assert sum(found["bars"]) == 80 and found["smallest"] == value["rows"][0]["value"] < found["largest"]
    ends = [key for one in value["edge_lists"] for key in [item["id"] for item in one["items"]]]
    assert len(ends) == len(opened.graph.parents("latents/1")) + len(opened.graph.children("latents/1"))
    assert len(table_of(opened)) == 4 and view_of(opened)
    shutil.rmtree(home() / "representations")
    assert card(opened, "latents/1")["distribution"] is None, "the graph opens without it"


def test_the_command_line_steers_it(grid: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keeping.kept_now(grid.slug, DECODING, "mine")
    keeping.kept_now(grid.slug, CONTRAST, "contrast")
    capsys.readouterr()
    steer = ["steer", "mine", "--concept", "latents/1", "--strength", "2", "--row", "5"]
    assert main([*steer, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["row"] == 5 and found["levers"][0]["moved"] == {"1": pytest.approx(2.0)}
    assert len(found["chance"]) == 20 and found["command"].endswith("--row 5 --json")
    assert main(steer) == 0
    assert "latent 1 by +2.00" in capsys.readouterr().out
    for more, why in (
        (["--prompt", "x"], "--prompt cannot be used here"),
        (["--operation", "patch"], "operation patch is none for latents"),
        (["--out", str(tmp_path / "out")], "rows of this world are numbers"),
    ):
        assert main([*steer, *more]) == 2
        assert why in capsys.readouterr().err
    assert main(["steer", "contrast", "--concept", "latents/1"]) == 2
    assert "its task trains no decoder" in capsys.readouterr().err
    assert main(["steer", "mine", "--concept", "latents/9"]) == 2


def test_the_command_line_shows_it(grid: Run, capsys: pytest.CaptureFixture[str]) -> None:
    keeping.kept_now(grid.slug, DECODING, "mine")
    capsys.readouterr()
    assert main(["graph", "show", "mine"]) == 0
    said = capsys.readouterr().out
    assert "representation mine" in said and "Proposed edges:" in said and "removing" not in said
    assert main(["graph", "show", "mine", "--concept", "latents/1"]) == 0
    said = capsys.readouterr().out
    assert "matches factor" in said and "lowest" in said
    assert main(["graph", "show", "mine", "--concept", "latents/1", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 8
