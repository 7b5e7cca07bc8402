"""The builds of what is bundled: each job once, taken up again where it stopped, never for other settings."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import jobs
from app.worker import execute
from probes.provenance import ROOT
from tests.fixtures import fake_job
from tests.fixtures.fake_job import FakeConfig

Build = Callable[..., None]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """`job` of the builds for an artefact called "made", on the fake job."""
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    monkeypatch.setattr(jobs, "JOBS", dict(jobs.JOBS))
    monkeypatch.syspath_prepend(str(ROOT / "assets"))
    fake_job.register()
    module = importlib.import_module("jobs")
    return lambda *flags: module.job(tmp_path / "probes" / "made", "fake", "--name", "made", *flags)


@pytest.fixture
def asked(build: Build, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that the builds start, each without its interpreter; none is run."""
    found: list[list[str]] = []

    def run(command: list[str], **_: Any) -> None:
        found.append(command[3:])

    monkeypatch.setattr(importlib.import_module("jobs"), "subprocess", SimpleNamespace(run=run))
    return found


def test_an_earlier_try_is_taken_up_again_by_its_own_settings_alone(build: Build, asked: list[list[str]]) -> None:
    build("--steps", "3")
    begun = jobs.new_run("fake", FakeConfig(name="made", steps=3))
    build("--steps", "3")
    assert asked == [["fake", "--name", "made", "--steps", "3"], ["work", str(begun.path)]]
    with pytest.raises(SystemExit, match=r"(?s)other settings.*--steps 3.*--steps 5.*--scratch"):
        build("--steps", "5")
    assert len(asked) == 2


def test_what_is_there_is_kept_if_it_is_what_is_asked_for(build: Build, asked: list[list[str]]) -> None:
    execute(jobs.new_run("fake", FakeConfig(name="made", steps=3)))
    build("--steps", "3")
    with pytest.raises(SystemExit, match=r"(?s)made was made with other settings.*--steps 3.*--low\.n_latents 2"):
        build("--low.n_latents", "2")
    assert asked == []
