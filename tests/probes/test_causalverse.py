"""CausalVerse's layouts, each from a tiny fake: rows, factors, domains, parts, and what pictures and latents show."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from probes.errors import WorkbenchError
from probes.representations.grid import Grid, GridConfig
from probes.representations.plan import plan_of
from probes.runs import Run
from probes.worlds.causalverse.columns import domains_of
from probes.worlds.causalverse.images import picture_file
from probes.worlds.causalverse.layouts import Layout, splits
from probes.worlds.causalverse.metavalues import read_metavalue
from probes.worlds.causalverse.stored import Rows
from probes.worlds.causalverse.world import CausalVerse
from probes.worlds.factors import CONDITIONS, OBSERVATIONS, FactorWorld
from tests.fixtures import causalverse as made

LAYOUTS: tuple[Layout, ...] = ("exported", "parquet", "video")
SPLITS = {"exported": "SLOPE", "parquet": "slope", "video": "physics/fall"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {one: made.make_causalverse_fixture(tmp_path_factory.mktemp(one), one) for one in LAYOUTS}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_told_by_looking_and_keeps_what_a_world_promises(
    folders: dict[str, Path], layout: Layout
) -> None:
    found: FactorWorld = made.opened(folders[layout])
    assert [(split.name, split.layout) for split in splits(folders[layout].resolve())] == [(SPLITS[layout], layout)]
    drawn = found.draw(8, seed=3)
    assert set(drawn.fields) == found.fields == {"x", "domain", "answers", "second"}
    assert found.fields <= set(OBSERVATIONS) | set(CONDITIONS)
    assert drawn.fields["x"].shape == drawn.fields["second"].shape == (8, *found.shape)
    assert drawn.fields["x"].dtype == (np.float32 if layout == "video" else np.uint8)
    assert drawn.factors.shape == (8, len(found.names)) and drawn.factors.dtype == np.float32
    assert found.edges.shape == (len(found.names),) * 2 and not found.edges.any() and "No graph" in found.card["graph"]
    assert found.domains == 2 and found.words == () and set(drawn.fields["domain"]) <= {0, 1}
    with pytest.raises(WorkbenchError, match="cannot be drawn anew"):
        found.render(drawn.factors)


@pytest.mark.parametrize("layout", ["exported", "parquet"])
def test_pictures_show_their_factors_and_the_second_view_the_same_ones(folders: dict[str, Path], layout: str) -> None:
    found = made.opened(folders[layout])
    assert found.names == ("h", "r", "m", "material")
    drawn = made.everything(found)
    other = 1 - drawn.fields["domain"]
    for row, (h, r, m, material) in enumerate(drawn.factors.tolist()):
        scene = {"h": h, "r": r, "m": int(m), "material": made.MATERIALS[int(material)]}
        for field, view in (("x", drawn.fields["domain"][row]), ("second", other[row])):
            expected = np.asarray(made.drawn(scene, int(view))).transpose(2, 0, 1)
            assert (drawn.fields[field][row] == expected).all()


def test_shards_and_their_export_are_one_world(folders: dict[str, Path]) -> None:
    one, two = (made.everything(made.opened(folders[layout])) for layout in ("exported", "parquet"))
    assert (one.fields["x"] == two.fields["x"]).all() and (one.factors == two.factors).all()


def test_latents_show_the_state_of_their_own_frame(folders: dict[str, Path]) -> None:
    """Frame 5 lies past the end of a state of five frames: its last moment is taken, as the card says."""
    found = made.opened(folders["video"])
    place = {name: at for at, name in enumerate(found.names)}
    assert list(place)[:3] == ["Scene.gravity", "Scene.room", "Object.asset"] and "position.0.2" in place
    drawn = made.everything(found)
    seen = drawn.fields["x"].reshape(-1, 4, 4)
    assert (seen[:, 0, 0] == drawn.factors[:, place["position.0.0"]]).all()
    assert (seen[:, 1, 0] == drawn.factors[:, place["Scene.gravity"]]).all()
    assert (seen[:, 2, 0] == drawn.fields["domain"]).all()
    assert (drawn.fields["second"].reshape(-1, 4, 4)[:, :2] == seen[:, :2]).all()
    assert "24 of 72 frames" in found.card["rows"] and "no video is decoded" in found.card["seen"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_draws_repeat_differ_by_seed_and_never_repeat_a_row(folders: dict[str, Path], layout: str) -> None:
    found = made.opened(folders[layout])
    one, two, other = (found.draw(10, seed) for seed in (1, 1, 2))
    for name in found.fields:
        assert (one.fields[name] == two.fields[name]).all()
    assert not (one.factors == other.factors).all()
    whole = found.draw(found.available("train"), 4)
    rows = np.concatenate([whole.factors, whole.fields["domain"][:, None]], axis=1)
    assert len(np.unique(rows, axis=0)) == len(rows)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_scene_is_in_both_parts_and_the_seed_of_the_config_decides_which(
    folders: dict[str, Path], layout: str
) -> None:
    found, again, other = (made.opened(folders[layout], seed=seed) for seed in (0, 0, 1))
    scenes = [
        {tuple(row) for row in of.draw(of.available(part), 0, part).factors[:, :1]}
        for of in (found, again, other)
        for part in ("train", "test")
    ]
    assert not scenes[0] & scenes[1] and len(scenes[0]) == 10 and len(scenes[1]) == 2
    assert scenes[:2] == scenes[2:4] and scenes[1] != scenes[5]
    assert len(CausalVerse(found.config, seed=9).draw(4, 0).factors) == 4


def test_answers_are_standardised_by_the_training_part(folders: dict[str, Path]) -> None:
    found = made.opened(folders["exported"], answers=("m", "h"))
    drawn = found.draw(found.available("train"), 0)
    answers, factors = drawn.fields["answers"], drawn.factors[:, [2, 0]]
    assert answers.mean(axis=0) == pytest.approx(0, abs=1e-5) and answers.std(axis=0) == pytest.approx(1, abs=1e-5)
    for answer, factor in zip(answers.T, factors.T, strict=True):
        assert np.corrcoef(answer, factor)[0, 1] == pytest.approx(1, abs=1e-5)


def test_names_left_out_are_no_factors(folders: dict[str, Path]) -> None:
    assert made.opened(folders["exported"], leave_out=("m",)).names == ("h", "r", "material")
    assert made.opened(folders["video"], leave_out=("position.*", "joint_pos.?", "Object.asset")).names == (
        "Scene.gravity",
        "Scene.room",
    )


def test_a_table_may_lie_beside_its_folder_name_pictures_from_its_own_and_lack_ids_and_views(tmp_path: Path) -> None:
    """Without ids every row is a scene of its own; without views there are no domains and no second view."""
    (tmp_path / "pictures").mkdir()
    rows = made.scenes(8)
    for at, row in enumerate(rows):
        row["render_path"] = f"pictures/{at}.png"
        made.drawn(row, 0).save(tmp_path / row["render_path"])
    made.write_table(tmp_path / "Spring.csv", rows)
    found = made.opened(tmp_path, split="spring")
    assert found.fields == {"x", "answers"} and found.domains == 0
    assert found.available("train") + found.available("test") == 8

    (tmp_path / "FALL").mkdir()
    for at, row in enumerate(rows):
        row["render_path"] = f"{at}.png"
        made.drawn(row, 0).save(tmp_path / "FALL" / row["render_path"])
    made.write_table(tmp_path / "FALL" / "FALL.csv", rows)
    assert made.opened(tmp_path, split="FALL").draw(2, 0).fields["x"].shape == (2, 3, made.SIDE, made.SIDE)


def test_pictures_come_to_one_size_whatever_theirs_and_grey_or_clear_ones_have_three_colours(tmp_path: Path) -> None:
    for mode, size in (("L", (9, 20)), ("RGBA", (33, 7)), ("P", (4, 4)), ("1", (50, 50))):
        made.drawn(made.scenes(1)[0], 1).convert(mode).resize(size).save(tmp_path / "one.png")
        assert picture_file(tmp_path / "one.png", 16, "it").shape == (3, 16, 16)


def test_with_one_view_a_scene_has_no_second_one(tmp_path: Path) -> None:
    folder = made.make_causalverse_fixture(tmp_path / "a", "exported")
    table = folder / "SLOPE" / "SLOPE.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))  # the last scene loses a view
    found = made.opened(folder)
    assert "second" not in found.fields and "not every scene" in found.card["pairs"]


@pytest.mark.parametrize(
    ("views", "domains"),
    [
        (["scene3", "scene1", "Scene3 "], [2, 0, 2]),
        (["10", "9", "2", "9"], [2, 1, 0, 1]),
        (["kitchen", "bath", "kitchen"], [1, 0, 1]),
        (["scene1", "hall"], [1, 0]),
        (["scene0", "scene1"], [0, 1]),
        (["scene99999999", "a"], [1, 0]),
    ],
)
def test_domains_are_numbered_scenes_or_places_in_sorted_order(views: list[str], domains: list[int]) -> None:
    assert domains_of(views, "it").tolist() == domains


@pytest.mark.parametrize(
    ("view", "labels", "trained"),
    [
        (lambda at, tested: "scene3", 3, 1),  # a label is no count
        (lambda at, tested: f"scene{1 + 2 * (at % 2)}", 3, 2),
        (lambda at, tested: "kitchen", 1, 1),
        (lambda at, tested: ("kitchen", "hall")[at % 2], 2, 2),
        (lambda at, tested: "scene1" if at in tested else "scene2", 2, 1),  # what only tests hold teaches nothing
    ],
)
def test_domains_are_counted_in_the_training_part_and_one_is_refused_where_several_are_needed(
    tmp_path: Path, view: Callable[[int, set[float]], str], labels: int, trained: int
) -> None:
    """By what the page plans with and by what a grid on the command line starts with."""
    (tmp_path / "SCENE").mkdir()
    rows = made.scenes(140)
    for at, row in enumerate(rows):
        made.drawn(row, 0).save(tmp_path / "SCENE" / f"{at}.png")
        row |= {"at": at, "render_path": f"{at}.png"}
    made.write_table(tmp_path / "SCENE" / "SCENE.csv", rows)
    before = made.opened(tmp_path, held_out=0.5)
    tested = set(before.draw(70, 0, "test").factors[:, before.names.index("at")].tolist())
    made.write_table(tmp_path / "SCENE" / "SCENE.csv", [{**row, "domain": view(row["at"], tested)} for row in rows])

    found = made.opened(tmp_path, held_out=0.5)
    compared = ("conditional_prior", "invariant_split", "markov_blanket")
    world, only = found.config.model_dump(), ("reconstruction",)
    config = GridConfig.model_validate(
        {"tasks": only, "constraints": compared, "world": world, "scoring": {"rows": 64}}
    )
    said = "has 1 domain to train on in its field domain, not 2 or more: set its domains above 1, or choose a split"
    for refusals in (plan_of(config).refused, Grid(config, cast(Run, None)).refused):
        assert tuple(one.constraint for one in refusals) == (() if trained > 1 else compared)
        assert all(said in one.reason for one in refusals)
    assert (found.domains, found.trained_domains) == (labels, trained)
    assert f"{trained} in the training part" in found.card["domains"]


FACTORS = {"a": 1, "b": "x y", "c": {"d": [0.5, True]}}


@pytest.mark.parametrize("text", [json.dumps(FACTORS), repr(FACTORS), f"  {FACTORS!r} "])
def test_metavalues_are_json_or_python_and_laid_flat(text: str) -> None:
    assert read_metavalue(text, "it") == {"a": 1, "b": "x y", "c.d.0": 0.5, "c.d.1": True}


@pytest.mark.parametrize("text", ["a: 1, b = x y", "a=1;b:x y;", "a :1\nb: x y"])
def test_metavalues_are_pairs_of_names_and_values(text: str) -> None:
    assert read_metavalue(text, "it") == {"a": "1", "b": "x y"}


def test_the_hubs_own_cache_whose_files_are_links_to_blobs_is_read(tmp_path: Path) -> None:
    folder = made.make_causalverse_fixture(tmp_path / "snapshots" / "abc", "parquet")
    (tmp_path / "blobs").mkdir()
    for at, shard in enumerate(sorted((folder / "data").iterdir())):
        shard.rename(tmp_path / "blobs" / str(at))
        shard.symlink_to(tmp_path / "blobs" / str(at))
    assert len(made.everything(made.opened(folder)).factors) == 24


def test_latents_may_lie_in_latent_too_and_frames_that_no_other_view_has_leave_out_the_second_one(
    tmp_path: Path,
) -> None:
    folder = made.make_causalverse_fixture(tmp_path, "video")
    scene = folder / "physics" / "fall"
    (scene / "latents").rename(scene / "latent")
    assert "second" in made.opened(folder, split="Physics/Fall").fields
    torch.save({"latents": torch.ones(1, 4, 2, 2), "frame_numbers": [1]}, scene / "latent" / "bird" / "ab_00.pt")
    found = made.opened(folder)
    assert "second" not in found.fields and len(made.everything(found).factors) == 70


@pytest.mark.parametrize("kept", [0, 2**30])
def test_a_row_is_read_once_where_memory_allows(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr("probes.worlds.causalverse.world.MOST_KEPT", kept)
    found = made.opened(folders["parquet"])
    read: list[int] = []
    stored, whole = found._stored, made.everything(found)

    def counted(rows: Rows) -> Any:
        read.extend(rows.tolist())
        return stored.read(rows)

    found._stored = replace(stored, read=counted)
    again = made.everything(found)
    assert all((again.fields[name] == whole.fields[name]).all() for name in found.fields)
    assert bool(read) == (not kept), "pictures were decoded twice"


def test_the_past_of_a_frame_is_what_its_own_clip_showed_before(folders: dict[str, Path]) -> None:
    """Clips have frames 0, 2 and 5; position along x, in the first channel, tells them apart."""
    short = made.everything(made.opened(folders["video"]))
    states = {tuple(row) for row in short.fields["x"]}
    found = made.opened(folders["video"], lag=2)
    assert "past" in found.fields and found.available("train") + found.available("test") == 24
    drawn = made.everything(found)
    assert drawn.fields["past"].shape == (24, 2, *found.shape)
    rows = [tuple(map(tuple, (*past, x))) for past, x in zip(drawn.fields["past"], drawn.fields["x"], strict=True)]
    assert {frame for clip in rows for frame in clip} == states and len(set(rows)) == 24
    seen = np.concatenate([drawn.fields["past"], drawn.fields["x"][:, None]], axis=1).reshape(24, 3, 4, 4)
    assert (seen[:, :, 1:] == seen[:, :1, 1:]).all(), "of one scene and one view"
    one = made.opened(folders["video"], lag=1)
    again = made.everything(one)
    first = {(tuple(past[0]), tuple(x)) for past, x in zip(again.fields["past"], again.fields["x"], strict=True)}
    assert {(early, late) for early, late, _ in rows} | {(early, late) for _, early, late in rows} == first


def test_pictures_and_short_clips_have_no_past(folders: dict[str, Path]) -> None:
    assert "have no past. Set lag to 0" in made.refusal(folders["exported"], lag=1)
    assert "no clip of more than 3 frames. Set a smaller lag" in made.refusal(folders["video"], lag=3)
