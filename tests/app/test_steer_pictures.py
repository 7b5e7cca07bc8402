"""Pictures on the Steer page and the command line: what is painted and typed is checked, and both say the same."""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from app.commands import build_parser, main
from app.components.lever_rack import LeverRow, Rack
from app.components.mask_painter import FINEST, mask_painted, painted
from app.components.noise_timeline import interval_chosen, interval_shown
from app.desk import levers_of, rack_from
from app.graphs import GraphLibrary
from app.live import LiveWork, LiveWorks, Told
from app.pages.steer_command import PictureAsk, command_line, pictures_asked
from app.pages.steer_pictures import ALL, placed_rack, ratio_of
from app.sources import open_source, source_names
from app.trying import levers_asked
from probes.errors import Stopped, WorkbenchError
from probes.masks import Mask
from steering.comparison import PictureComparison
from steering.levers import LeverSet
from steering.picture_files import as_address, png_bytes
from steering.picture_sweep import PictureSweep
from steering.sources import open_source as open_on_disk
from tests.fixtures.painted import save_painted

ROW = LeverRow(key="low/1", concept="low/1", label="latent 1", level="low", strength=2.0)
LEFT = Mask.box(0, 0, 1, 0.5)


@pytest.fixture(scope="module")
def probe(data_home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_painted(tmp_path_factory.mktemp("pipeline"), "on-paper")


def test_what_is_painted_is_the_mask_and_comes_back() -> None:
    assert mask_painted({"on": False, "rows": 2, "columns": 2, "cells": "1000"}) is None
    mask = mask_painted({"on": True, "rows": 2, "columns": 2, "cells": "1000"})
    assert mask is not None and mask.weights((2, 2)).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    for ratio in (0.5, 1.0, 2.0):
        value = painted(mask, ratio)
        assert (
            max(value["rows"], value["columns"]) == FINEST and len(value["cells"]) == value["rows"] * value["columns"]
        )
        again = mask_painted(value)
        assert again is not None and torch.equal(again.weights((2, 2)), mask.weights((2, 2)))
    assert mask_painted(painted(None)) is None


@pytest.mark.parametrize(
    "value",
    [
        {"on": True, "rows": 2, "columns": 2, "cells": "0000"},
        {"on": True, "rows": 2, "columns": 2, "cells": ""},
        {"on": True, "rows": 2, "columns": 2, "cells": "111"},
        {"on": True, "rows": 10**6, "columns": 10**6, "cells": "1"},
        {"on": True, "rows": "2", "columns": 2, "cells": "1111"},
        {"on": True, "rows": 2, "columns": 2, "cells": "<b>1"},
    ],
)
def test_a_mask_that_cannot_be_used_is_one_sentence(value: Any) -> None:
    with pytest.raises(WorkbenchError, match="The mask cannot be used"):
        mask_painted(value)


def test_an_interval_has_both_ends_between_0_and_1_in_any_order() -> None:
    assert interval_chosen({"own": True, "low": 0.2, "high": 0.4}) is None
    assert interval_chosen({"own": False, "low": 0.8, "high": 0.3}) == (0.3, 0.8)
    assert interval_chosen(interval_shown((0.3, 0.8))) == (0.3, 0.8) and interval_chosen(interval_shown(None)) is None
    for wrong in ({"own": False, "low": -0.1, "high": 1}, {"own": False, "low": 0, "high": 1.4}, {"more": 1}):
        with pytest.raises(WorkbenchError, match="noise interval"):
            interval_chosen(wrong)


def test_the_place_goes_to_the_lever_it_is_meant_for() -> None:
    other = ROW.model_copy(update={"key": "low/2", "concept": "low/2"})
    mask, noise = painted(LEFT), {"own": False, "low": 0.2, "high": 0.6}
    one = placed_rack(Rack(levers=(ROW, other)), "low/2", mask, noise)
    assert one.levers[0] == ROW and one.levers[1].noise == (0.2, 0.6) and one.levers[1].cells is not None
    both = placed_rack(Rack(levers=(ROW, other)), ALL, mask, noise)
    assert {row.noise for row in both.levers} == {(0.2, 0.6)}


def test_a_rack_of_pictures_comes_back_and_its_command_says_the_same(probe: str, tmp_path: Path) -> None:
    source = open_source(GraphLibrary(), f"probe/{probe}")
    assert source.noise == {level.name: level.where.noise for level in open_on_disk(probe).probe.levels}
    assert source.kind == "pictures" and (f"probe {probe}", f"probe/{probe}") in source_names(GraphLibrary())
    rack = Rack(levers=(source.row("low/1").model_copy(update={"noise": (0.2, 0.75), "branch": "both", "limit": 0.3}),))
    levers = levers_of(rack)
    assert levers_of(rack_from(levers, source.row)) == levers
    ask = pictures_asked(["- a", 3, 2, 5, "2.5", "", "a frog", True])
    said = shlex.split(command_line(source.ref, rack, ask))
    options = build_parser("steer").parse_args(said[3:])
    assert levers_asked(options, open_on_disk(probe)) == levers
    assert (options.prompt, options.seed, options.steps, options.guidance) == ("- a", [3, 4], 5, 2.5)
    assert options.asking == "a frog" and options.controls
    painted_rack = placed_rack(rack, ALL, painted(LEFT), interval_shown(None))
    assert "--levers" in command_line(source.ref, painted_rack, ask)
    # The command a report shows needs nothing but itself: it writes the levers it reads.
    writes, _, reads = command_line(source.ref, painted_rack, ask, probe=source.probe).rpartition("\n")
    subprocess.run(["sh", "-c", writes], cwd=tmp_path, check=True)
    options = build_parser("steer").parse_args(shlex.split(reads)[3:])
    written = LeverSet.load(tmp_path / options.levers)
    assert written == LeverSet(probe=probe, levers=tuple(levers_of(painted_rack)))
    assert levers_of(rack_from(levers_of(painted_rack), source.row)) == levers_of(painted_rack)
    with pytest.raises(WorkbenchError, match="no latent"):
        source.row("low/99999")


@pytest.mark.parametrize("form", [("", 0, 1), ("x", -1, 1), ("x", 0, 99), ("x", 0, 1, 10**6), ("x", 0, 1, 5, "much")])
def test_a_form_out_of_bounds_is_refused(form: tuple[Any, ...]) -> None:
    whole = [*form, *[5, "", "", "", True][len(form) - 3 :]]
    with pytest.raises(WorkbenchError, match="The comparison"):
        pictures_asked(whole)


def test_the_proportions_of_a_picture_are_read_off_its_header() -> None:
    assert ratio_of(as_address("x", torch.zeros(3, 4, 8))) == 2.0
    assert PictureAsk(prompt="x", seed=3, pictures=3).seeds == (3, 4, 5)


def printed(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    capsys.readouterr()
    assert main(["steer", *flags]) == 0
    return capsys.readouterr().out


def test_the_command_writes_pictures_and_prints_what_happened(
    probe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = tmp_path / "mask.png"
    mask.write_bytes(png_bytes(LEFT.weights((30, 30))[None]))
    flags = [probe, "--concept", "low/1", "--strength", "3", "--prompt", "a frog", "--seed", "0", "1", "--steps", "3"]
    flags += ["--noise", "0.8-0.3", "--mask", str(mask), "--limit", "0.4"]
    out = tmp_path / "out"
    found = PictureComparison.model_validate_json(printed(capsys, *flags, "--out", str(out), "--json"))
    assert found.seeds == [0, 1] and found.levers[0].lever.selector.noise == (0.3, 0.8)
    assert found.levers[0].lever.limit == 0.4 and min(found.steered.rmse) > 0 and found.steered.rmse_outside
    shown = [*found.unsteered.pictures, *found.steered.pictures, *found.difference, *found.controls[0].pictures]
    assert {file.name for file in out.iterdir()} >= set(shown) and len(set(shown)) == 8
    assert shlex.split(found.command) == ["python", "-m", "app", "steer", *flags, "--out", str(out), "--json"]
    inside = json.loads(printed(capsys, *flags, "--no-controls", "--json"))
    assert inside["steered"]["pictures"][0].startswith("data:image/png;base64,")
    swept = PictureSweep.model_validate_json(printed(capsys, *flags, "--sweep", "--json"))
    assert {row.by for row in swept.rows} == {"lever"} and swept.cost.calls == swept.cost.runs * 3


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--noise", "0.3-1.8"], "both ends lie between 0 and 1"),
        (["--noise", "much"], "no noise interval"),
        (["--mask", "nowhere.png"], "no such file"),
        (["--tokens", "5"], "only text can be steered by it"),
        (["--branch", "both", "--steps", "0"], "steps"),
        (["--limit", "0"], "limit"),
    ],
)
def test_what_cannot_be_steered_is_one_sentence(
    flags: list[str], said: str, probe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["steer", probe, "--concept", "low/1", "--prompt", "x", *flags]) == 2
    assert said in capsys.readouterr().err


def test_live_work_is_followed_stopped_and_forgotten() -> None:
    works, going = LiveWorks(), threading.Event()

    def work(progress: Any, stop: Any) -> str:
        for step in range(10_000):
            if stop():
                raise Stopped
            progress(step, 10_000, "going")
            going.set()
            threading.Event().wait(0.001)
        return "done"

    begun = works.begin("page", work)
    heard = []
    for told in begun.follow():
        heard.append(told)
        if going.is_set():
            assert works.stop("page")
    with pytest.raises(Stopped):
        begun.result()
    works.end("page", begun)
    assert not works.stop("page") and all(isinstance(told, Told) for told in heard)
    quick = LiveWork(lambda progress, stop: 7)
    assert list(quick.follow())[:1] in ([], [Told()]) and quick.result() == 7


def test_whoever_follows_is_told_that_work_is_stopping() -> None:
    released = threading.Event()

    begun = LiveWork(lambda progress, stop: released.wait(30))
    following = begun.follow()
    assert next(following) == Told()
    begun.stop()
    try:
        assert next(following) == Told(what="stopping at the next step")
    finally:
        released.set()


def test_live_work_that_nobody_follows_any_more_ends() -> None:
    ended = threading.Event()

    def work(progress: Any, stop: Any) -> None:
        while not stop():
            threading.Event().wait(0.001)
        ended.set()

    following = LiveWork(work).follow()
    next(following)
    following.close()
    assert ended.wait(30)
