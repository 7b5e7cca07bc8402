from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from app import jobs
from app.commands import build_parser, main
from app.config_flags import add_flags, collect, flags_of, from_text, nested_defaults
from app.settings import Settings
from probes.configs import Frozen, merged
from probes.errors import WorkbenchError
from probes.runs import Run, all_runs
from tests.fixtures import fake_job
from tests.fixtures.fake_job import FakeConfig, Inner
from tests.fixtures.graphs import make_graph

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120  # seconds, for what takes one where nothing else runs


@pytest.fixture(autouse=True)
def workbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(jobs, "JOBS", dict(jobs.JOBS))
    monkeypatch.setattr(jobs, "WORKER", [sys.executable, "-P", fake_job.__file__])
    fake_job.register()


def parsed(config: type[Frozen], *arguments: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_flags(parser, config)
    return collect(parser.parse_args(arguments), config)


def test_flags_reach_nested_fields_in_both_spellings() -> None:
    assert parsed(FakeConfig, "--steps", "5", "--low.n_latents", "16") == {
        "steps": "5",
        "low": {"n_latents": "16"},
    }
    assert parsed(FakeConfig, "--low.n-latents", "16", "--no-crash") == {
        "low": {"n_latents": "16"},
        "crash": False,
    }
    assert parsed(FakeConfig, "--fail_at", "none", "--low.depths", "0.1,0.9") == {
        "fail_at": None,
        "low": {"depths": ["0.1", "0.9"]},
    }


@pytest.mark.parametrize(
    "config",
    [
        FakeConfig(name="x"),
        FakeConfig(name="two words; rm -rf /", steps=9, crash=True, fail_at=3),
        FakeConfig(name="-leading", low=Inner(n_latents=3, depths=(0.25,))),
        FakeConfig(name="none", low=Inner(depths=())),
        FakeConfig(name="a,b"),
        FakeConfig(name="x", high=Inner()),
        FakeConfig(name="x", high=Inner(n_latents=2)),
        FakeConfig(name="[1]"),
    ],
)
def test_the_command_shown_makes_the_same_config(config: FakeConfig) -> None:
    shown = shlex.split(shlex.join(flags_of(config)))
    values = merged(nested_defaults(FakeConfig), parsed(FakeConfig, *shown))
    assert FakeConfig.model_validate(values) == config


def test_text_becomes_the_first_type_that_fits() -> None:
    assert from_text(Literal["all"] | tuple[int, int], "all") == "all"
    assert from_text(Literal["all"] | tuple[int, int], "0,16") == ["0", "16"]
    assert from_text(dict[str, int], '{"a": 1}') == {"a": 1}
    assert from_text(int | None, "none") is None
    assert from_text(int, "many") == "many"


def test_merging_keeps_what_is_not_overridden() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}, "e": 4}) == {
        "a": {"b": 9, "c": 2},
        "d": 3,
        "e": 4,
    }


def test_a_job_runs_and_prints_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fake", "--name", "made", "--steps", "3", "--low.n_latents", "5"]) == 0
    said = capsys.readouterr().out
    assert "done" in said and "counted" in said and "0.25" in said
    run = all_runs()[0]
    assert run.record().command == "python -m app fake --name made --steps 3 --low.n_latents 5"
    assert run.record().config["low"]["n_latents"] == 5


def test_one_flag_of_a_section_leaves_the_rest_of_it_alone() -> None:
    assert main(["fake", "--name", "made", "--high.n_latents", "5"]) == 0
    assert all_runs()[0].record().config["high"] == {"n_latents": 5, "depths": [0.8]}


def test_json_is_one_object_alone_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fake", "--name", "made", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["state"] == "done" and said["figures"] == {"counted": 4, "loss": 0.25}
    assert said["artefact"].endswith("probes/made")


def test_a_config_file_a_preset_and_flags_are_laid_over_each_other(tmp_path: Path) -> None:
    (tmp_path / "cfg.json").write_text(json.dumps({"name": "from-file", "low": {"depths": [0.3]}}))
    assert main(["fake", str(tmp_path / "cfg.json"), "--preset", "tiny", "--name", "flag"]) == 0
    config = all_runs()[0].record().config
    assert (config["name"], config["steps"], config["low"]) == ("flag", 2, {"n_latents": 4, "depths": [0.3]})


def test_a_config_file_can_name_its_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "cfg.json"
    config.write_text(json.dumps({"name": "from-file", "preset": "tiny", "low": {"depths": [0.3]}}))
    assert main(["fake", str(config)]) == 0
    found = all_runs()[0].record().config
    assert (found["steps"], found["low"]) == (2, {"n_latents": 4, "depths": [0.3]})
    for wrong in ("huge", ["tiny"], {}):
        config.write_text(json.dumps({"name": "from-file", "preset": wrong}))
        assert main(["fake", str(config)]) == 2
        assert "it has tiny" in capsys.readouterr().err


def test_a_finished_runs_config_can_be_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fake", "--name", "one", "--steps", "2"]) == 0
    again = str(all_runs()[0].path / "config.json")
    assert main(["fake", again, "--name", "two"]) == 0
    assert main(["fake-named", again]) == 2
    assert "fulcrum fake " in capsys.readouterr().err


def test_a_bare_value_fills_the_positional_field() -> None:
    assert main(["fake-named", "bare"]) == 0
    assert all_runs()[0].record().config["name"] == "bare"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["fake"], "name"),
        (["fake", "--name", "x", "--steps", "0"], "steps: it must be at least 1"),
        (["fake", "--name", "x", "--steps", "many"], "steps: it is not a whole number. Correct --steps"),
        (["fake", "--name", "x", "--pause", "nan"], "pause: it is not a finite number"),
        (["fake", "nowhere.json"], "nowhere.json"),
        (["fake", "--name", "x", "--fail_at", "1"], "told to"),
        (["work", "nowhere"], "nowhere"),
        (["graph", "show", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert reason in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_a_detached_run_is_started_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fake", "--name", "far", "--detach", "--json"]) == 0
    run = Run.open(json.loads(capsys.readouterr().out)["run"])
    end = time.monotonic() + PATIENCE
    while run.status().state != "done":
        assert time.monotonic() < end, jobs.log_tail(run)
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_checkpoint_and_work_goes_on_from_there(number: int, code: int) -> None:
    command = [sys.executable, fake_job.__file__, "fake", "--name", "x", "--steps", "300", "--pause", "0.02"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE)
    end = time.monotonic() + PATIENCE
    while not all_runs() or all_runs()[0].status().step < 3:
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=PATIENCE) == code
    run = all_runs()[0]
    checkpoint = run.latest_checkpoint()
    assert run.status().state == "stopped"
    assert checkpoint is not None and checkpoint.step == run.status().step < 300
    path = run.path / "config.json"
    path.write_text(path.read_text().replace('"pause": 0.02', '"pause": 0.0'))
    assert main(["work", run.slug]) == 0
    assert [row["step"] for row in run.metrics()] == list(range(1, 301))


def test_a_second_signal_does_not_wait_for_the_step() -> None:
    command = [
        sys.executable,
        fake_job.__file__,
        "fake",
        "--name",
        "x",
        "--pause",
        "1",
        "--steps",
        "600",
        "--deaf",
    ]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE)
    end = time.monotonic() + PATIENCE
    while not all_runs() or all_runs()[0].status().state != "running":
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE) == 143
    assert all_runs()[0].status().state == "stopped"


def test_help_needs_no_torch_and_names_every_command() -> None:
    code = (
        "import sys; from app.commands import build_parser, main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules, 'gradio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.endswith("False False\n")
    for name in ("serve", "capture", "train", "import", "graph", "steer", "evaluate", "report", "export", "work"):
        assert name in done.stdout.split()


def test_the_help_of_a_job_shows_sentence_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fake", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Steps to count, 100 % of them. Default: 4." in said
    assert "--low.n_latents" in said


def test_graph_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = make_graph(6, 5, 3)
    graph.save(tmp_path / "home" / "graphs" / "toy")
    assert main(["graph", "show", "toy", "--json", "--top", "3"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["concepts"] == len(graph.nodes) and len(shown["strongest"]) == 3
    concept = shown["strongest"][0]["source"]
    assert main(["graph", "show", "toy", "--concept", concept, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == concept
    assert main(["graph", "show", "toy"]) == 0
    assert main(["graph", "show", "toy", "--concept", concept]) == 0
    assert concept in capsys.readouterr().out
    assert main(["graph", "show", "toy", "--concept", "low/99999"]) == 2


def test_settings_sources_override_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "settings.toml").write_text('port = 1\ndevice = "cpu"\nhost = "a"\n')
    monkeypatch.setenv("FULCRUM_PORT", "2")
    monkeypatch.setenv("FULCRUM_THREADS", "3")
    settings = Settings.load({"host": "b"})
    assert (settings.port, settings.device, settings.host, settings.threads) == (2, "cpu", "b", 3)
    assert Settings().host == "127.0.0.1" and Settings().offline


@pytest.mark.parametrize("text", ["port = 99999", "colour = 1", "port = ", "port = nan"])
def test_bad_settings_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "settings.toml").write_text(text)
    with pytest.raises(WorkbenchError, match=r"settings"):
        Settings.load()


class WithDevice(Frozen):
    device: str = Field(default="cpu", description="Where.")


def test_jobs_take_only_what_was_set_on_purpose() -> None:
    assert Settings().defaults_for(WithDevice) == {}
    assert Settings(device="cuda", port=1).defaults_for(WithDevice) == {"device": "cuda"}
    assert Settings(device="cuda").defaults_for(FakeConfig) == {}


@pytest.mark.parametrize(
    "flags", [["--layers", "0.2,0.5"], ["--layers", "0.2", "--layers", "0.5"], ["--layers=[0.2, 0.5]"]]
)
def test_a_list_is_given_at_once_or_item_by_item(flags: list[str]) -> None:
    from probes.activations.capture import CaptureConfig

    values = collect(build_parser("capture").parse_args(["capture", *flags]), CaptureConfig)
    assert [float(value) for value in values["layers"]] == [0.2, 0.5]
