"""The recipes for the pipelines people will bring, typed through on narrow stand-ins with random weights."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from app.commands import main
from probes.provenance import ROOT


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "assets" / "recipes"))
    return importlib.import_module("stand_in")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What a command prints with --json; it has to succeed."""
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    ("model", "tap", "more"),
    [
        ("sdxl-turbo", "update", ("--guidance", "0")),
        pytest.param("sd1", "out", (), marks=pytest.mark.slow),
    ],
)
def test_published_dictionaries_become_levels_of_a_graph_and_levers(
    model: str, tap: str, more: tuple[str, ...], stand_in: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = stand_in.RECIPES[model]
    stand_in.write(model, tmp_path, narrow=True)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(f"thing {at} in room {at % 5}" for at in range(40)))
    points = [f"{recipe.points[at]}:{tap}" for at in (0, -1)]  # the one computed first, and the last
    said(
        capsys, "capture", "--name", model, "--subject", str(tmp_path / "pipeline"), "--prompts", str(prompts),
        "--steps", "4", "--height", "32", "--width", "32", "--held_out", "0.4", *more,
        "--bands", "[[0, 0.6], [0.6, 1]]",
        *(word for point in points for word in ("--points", point)),
    )  # fmt: skip
    found = (next((tmp_path / "dictionaries").glob(f"unet.{recipe.points[at]}*/**/c*.json")) for at in (0, -1))
    high, low = (file.parent for file in found)
    said(
        capsys, "import", str(low), str(high), "--level", "low", "--level", "high", "--store", model, "--name", model,
        "--point", f"{points[1]}@noise=0-0.6", "--point", f"{points[0]}@noise=0.6-1",
    )  # fmt: skip
    made = said(capsys, "graph", "--name", model, "--probe", model, "--edges", "6")
    assert made["figures"]["low-high.tested"] == 6
    shown = said(capsys, "graph", "show", model)
    assert [(level["name"], level["row"], level["noise"]) for level in shown["levels"]] == [
        ("low", "cell", [0.0, 0.6]),
        ("high", "cell", [0.6, 1.0]),
    ]
    concept = json.loads((Path(made["artefact"]) / "graph.json").read_text())["nodes"]["id"][0]
    steered = said(capsys, "steer", model, "--concept", concept, "--strength", "2", "--prompt", "thing", "--seed", "0")
    assert steered["levers"][0]["moved"] > 0
