"""Evaluation suites as a job: one object of rows, the same for page, report and command."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model

from app.suites.registry import SUITES, section
from app.suites.rows import Rows
from app.suites.suite import Suite
from probes.artefacts import MANIFEST, artefact_path, read_manifest, resolve, write_manifest
from probes.configs import Frozen
from probes.errors import Stopped, WorkbenchError
from probes.files import commit_directory, write_json
from probes.provenance import commit
from probes.runs import Run


class _Choice(Frozen):
    suite: Annotated[str, SUITES] = Field(default=SUITES.first, description="Which suite.")
    of: str = Field(
        default="", description="What it measures, such as a graph; what the suite starts from, when empty."
    )
    name: str = Field(
        default="", description="Name of the evaluation to write; the suite's, when empty.", max_length=64
    )


_suites: dict[str, Suite] = {name: SUITES.load(name) for name in SUITES}

if TYPE_CHECKING:
    _WithSections = _Choice
else:  # a section per suite: its own config, under its own name
    _WithSections = create_model(
        "_WithSections",
        __base__=_Choice,
        **{
            section(name): (suite.Config, Field(default=suite.Config(), description=SUITES[name].sentence))
            for name, suite in _suites.items()
        },
    )


class EvaluateConfig(_WithSections):
    """Measure a suite and write its rows."""


# A preset says what every suite that has one of that name starts from.
presets: dict[str, dict[str, Any]] = {
    preset: {section(name): suite.presets[preset] for name, suite in _suites.items() if preset in suite.presets}
    for preset in dict.fromkeys(preset for suite in _suites.values() for preset in suite.presets)
}


def work(config: EvaluateConfig, run: Run) -> Path | None:
    """Run a suite and leave its rows as an artefact, replacing those of the same settings; other settings' are kept.

    Returns the rows' file, or None when it was asked to stop.
    """
    suite, settings = _suites[config.suite], _settings(config)
    run.begin(message=f"measuring {config.suite}")
    start = time.monotonic()
    try:
        rows = list(suite.rows(settings, run))
    except Stopped:
        return None
    found = Rows(suite=config.suite, commit=commit(), seconds=time.monotonic() - start, rows=rows)
    target = _place(config)
    name = target.name
    with commit_directory(target, replace=True) as folder:
        write_json(folder / "rows.json", found.model_dump(mode="json"))
        for details in (run.path / name for name in suite.leaves):
            if details.is_file():
                (folder / details.name).write_bytes(details.read_bytes())
        write_manifest(folder, kind="evaluation", name=name, command=run.record().command, run=run.slug)
    return target / "rows.json"


def check(config: EvaluateConfig) -> None:
    """Raise `WorkbenchError` where what a suite is to measure is not there, or is nothing that it can measure."""
    if config.name and (there := artefact_path("evaluation", config.name)) != _place(config):
        raise WorkbenchError(
            "name-taken",
            f"evaluations/{there.name} exists",
            "it was measured with other settings, and is not replaced by these",
            "Choose another name.",
        )
    suite, settings = _suites[config.suite], _settings(config)
    if not suite.of:
        return
    ref = getattr(settings, suite.of)
    if not ref:
        why = f"it measures a {suite.of}, and none is named"
        raise WorkbenchError("nothing-named", f"{config.suite} has nothing to measure", why, f"Name a {suite.of}.")
    kind = read_manifest(resolve(ref, suite.of)).kind
    if kind != suite.of:
        why = f"it is a {kind}, and {config.suite} measures a {suite.of}"
        raise WorkbenchError("wrong-kind", f"{ref[:80]} cannot be measured", why, f"Name a {suite.of}.")
    suite.suits(settings)


def _place(config: EvaluateConfig) -> Path:
    """Where the rows go: below the name asked for, with a number where rows of other settings have that name."""
    from app.jobs import command_line

    name, command = config.name or config.suite, command_line("evaluate", config)
    for number in count(1):
        place = artefact_path("evaluation", name if number == 1 else f"{name[:58]}-{number}")
        if not (place / MANIFEST).is_file() or read_manifest(place).command == command:
            break
    return place


def _settings(config: EvaluateConfig) -> Any:
    """The section of the chosen suite, with what `of` names."""
    settings = getattr(config, section(config.suite))
    return settings.model_copy(update={_named(config.suite): config.of}) if config.of else settings


def _named(suite: str) -> str:
    """The field of a suite's config that `of` means."""
    field = _suites[suite].of
    if not field:
        raise WorkbenchError(
            "nothing-to-name",
            f"{suite} cannot be told what to measure",
            "it makes or names everything it measures itself",
            "Leave `of` out.",
        )
    return field
