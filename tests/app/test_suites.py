"""The registry of suites: every row is a suite, and configs, flags and presets follow from it."""

from __future__ import annotations

from pathlib import Path

import pytest

import app.suites
from app.commands import main
from app.evaluate import EvaluateConfig, presets
from app.suites.registry import SUITES, section
from app.suites.suite import Suite
from probes.configs import Frozen
from probes.errors import WorkbenchError
from tests.fixtures.suites import run_of


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
    assert main(["evaluate", "colours", "no-such-graph"]) != 0
    assert "colours cannot be told what to measure" in capsys.readouterr().err
