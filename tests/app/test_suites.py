"""The registry of suites: every row is a suite, and configs, flags and presets follow from it."""

from __future__ import annotations

from pathlib import Path

import pytest

import app.suites
from app.commands import main
from app.evaluate import EvaluateConfig, presets
from app.suites.registry import SUITES, section
from app.suites.suite import Suite
from app.worker import run_job
from concept_graphs.graph import ConceptGraph
from probes.artefacts import resolve
from probes.configs import Frozen
from probes.errors import WorkbenchError
from tests.fixtures.graphs import make_graph
from tests.fixtures.suites import run_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))


@pytest.mark.parametrize("name", SUITES)
def test_a_row_is_a_suite_with_a_section_and_a_sentence(name: str) -> None:
    suite = SUITES.load(name)
    assert isinstance(suite, Suite) and issubclass(suite.Config, Frozen)
    field = EvaluateConfig.model_fields[section(name)]
    assert field.annotation is suite.Config and field.description == SUITES[name].sentence
    assert all(one.description for one in suite.Config.model_fields.values())
    for preset, values in suite.presets.items():
        suite.Config.model_validate(values)
        assert presets[preset][section(name)] == values


def test_every_file_that_ends_in_a_suite_has_a_row() -> None:
    files = Path(app.suites.__file__).parent.glob("*.py")
    with_suite = {f"app.suites.{file.stem}:SUITE" for file in files if "\nSUITE = Suite(" in file.read_text()}
    assert with_suite == {entry.target for entry in SUITES.values()}


def test_presets_are_configs() -> None:
    for values in presets.values():
        EvaluateConfig.model_validate(values)


def test_suites_and_their_options_are_listed_by_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    said = capsys.readouterr().out
    for name in SUITES:
        assert name in said
        assert all(f"--{section(name)}.{field}" in said for field in SUITES.load(name).Config.model_fields)


def test_an_unknown_suite_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "nothing-like-it"]) == 2
    said = capsys.readouterr().err
    assert "nothing-like-it" in said and "colours" in said
    with pytest.raises(WorkbenchError):
        SUITES.load("nothing-like-it")
    assert run_of("one", suite="colours").path.is_dir()


def test_what_a_suite_measures_is_named_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The graph is missing, and that of the suite's own options would not be."""
    for suite in SUITES:
        field = SUITES.load(suite).of
        assert not field or field in SUITES.load(suite).Config.model_fields
    assert main(["evaluate", "graph", "no-such-graph", "--preset", "tiny"]) != 0
    assert "no-such-graph" in capsys.readouterr().err


WITH_OF = [name for name in SUITES if SUITES.load(name).of]
WAYS = {
    "behind the suite": lambda name: [name, "no-such-thing"],
    "in its section": lambda name: [name, f"--{section(name)}.{SUITES.load(name).of}", "no-such-thing"],
    "in the background": lambda name: [name, "no-such-thing", "--detach"],
}


def refused(given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `evaluate` says when it refuses, having made nothing."""
    assert main(["evaluate", *given]) == 2
    assert list((tmp_path / "runs").glob("*")) == [], "refused before there is a run"
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
    return said


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", WITH_OF)
def test_what_is_not_there_is_refused_before_there_is_a_run(
    name: str, way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(WAYS[way](name), tmp_path, capsys)
    assert f"There is no {SUITES.load(name).of} called 'no-such-thing'" in said
    assert "Use one of the known names" in said or "first." in said


@pytest.mark.parametrize("name", [name for name in SUITES if name not in WITH_OF])
def test_a_suite_that_measures_one_thing_only_takes_no_name_and_makes_no_run(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "cannot be told what to measure" in refused([name, "no-such-thing"], tmp_path, capsys)


@pytest.mark.parametrize("name", WITH_OF)
def test_an_artefact_of_another_kind_is_refused_before_there_is_a_run(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of = SUITES.load(name).of
    other = resolve("bundled/text", "probe" if of != "probe" else "graph")
    assert f"measures a {of}" in refused([name, str(other)], tmp_path, capsys)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["main-job", "bundled/emoji"], "makes pictures, and this suite measures text. Name a graph of text"),
        (["image-graph", "bundled/text"], "makes text, and this suite measures pictures. Name a graph of pictures"),
        (["tradeoff"], "There is no store called"),
        (["bands"], "has nothing to measure: it measures a store"),
        (["graph", "foreign"], "came from another tool's file"),
        (["main-job", "foreign"], "came from another tool's file"),
    ],
)
def test_what_a_suite_cannot_measure_is_refused_before_there_is_a_run(
    given: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = make_graph(seed=1)
    made = ConceptGraph(graph.meta.model_copy(update={"probe": ""}), graph.nodes, graph.edges)
    (tmp_path / "graphs" / "foreign").mkdir(parents=True)
    made.save(tmp_path / "graphs" / "foreign")
    assert why in refused(given, tmp_path, capsys)


def test_in_python_it_is_refused_before_there_is_a_run(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="no-such-graph"):
        run_job("evaluate", suite="graph", of="no-such-graph")
    assert list((tmp_path / "runs").glob("*")) == []
