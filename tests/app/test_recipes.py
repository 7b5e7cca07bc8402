"""A training recipe is one row: the command, its flags, presets, form, run and resume follow from it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app import jobs
from app.commands import main
from app.components.config_form import ConfigForm
from probes.artefacts import read_manifest, resolve
from probes.autoencoders.registry import NORMALISATIONS
from probes.backends.registry import BACKENDS
from probes.registry import Entry
from probes.runs import Run, all_runs
from tests.fixtures.other_backend import Config


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Entry("tests.fixtures.other_backend:BACKEND", "Count to a number.")
    monkeypatch.setitem(BACKENDS._rows, "counting", row)


def run_named(name: str) -> Run:
    return next(run for run in all_runs() if run.record().config.get("name") == name)


def figures(name: str) -> Any:
    return read_manifest(resolve(name, "probe")).figures


def test_its_flags_are_those_of_the_train_command_and_the_run_can_be_repeated() -> None:
    assert main(["train", "--backend", "counting", "--name", "counted", "--twist", "7"]) == 0
    assert figures("counted") == {"counted": 7}
    run = run_named("counted")
    command = shlex.split(run.record().command)
    assert command[3:] == ["train", "--backend", "counting", "--name", "counted", "--twist", "7"]
    config = jobs.load_config(run)
    assert isinstance(config, Config) and config.twist == 7


def test_presets_and_config_files_name_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--backend=counting", "--name", "preset", "--preset", "tiny"]) == 0
    assert figures("preset") == {"counted": 2}
    (tmp_path / "cfg.json").write_text(json.dumps({"backend": "counting", "name": "filed", "twist": 5}))
    assert main(["train", str(tmp_path / "cfg.json")]) == 0
    assert figures("filed") == {"counted": 5}
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = capsys.readouterr().out
    assert "--backend {causal_minimality,counting}" in shown and "--low.autoencoder {topk,batch_topk," in shown
    assert "--twist" not in shown


def test_a_form_offers_the_rows_of_a_registry_and_hides_what_is_fixed() -> None:
    row = jobs.job("train")
    with gr.Blocks():
        form = ConfigForm(row.config_class({"backend": "counting"}), {"name": "f"}, prefix="a")
        other = ConfigForm(row.config_class(), {"name": "f", "store": "s"}, prefix="b")
    assert [control.path[-1] for control in form.controls] == ["name", "store", "seed", "twist"]
    assert form.read([part.value for part in form.components]).model_dump()["backend"] == "counting"
    controls = {".".join(control.path): control.component for control in other.controls}
    assert isinstance(controls["low.normalise"], gr.Dropdown)
    assert controls["low.normalise"].choices == [(name, name) for name in NORMALISATIONS]
    assert ("matryoshka", "matryoshka") in controls["low.autoencoder.kind"].choices
