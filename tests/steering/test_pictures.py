"""Levers on pictures: nothing at strength 0, only where and when they are told, and said in honest numbers."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from probes.addresses import HookPoint, Selector
from probes.errors import Stopped, WorkbenchError
from probes.hooks import hooked, keep
from probes.masks import Mask
from steering.comparison import PictureComparison
from steering.edits import LeverEffect, compile_lever, compile_levers
from steering.levers import Lever, LeverSet, OperationParams
from steering.picture_files import into_folder, mask_from_bytes, png_bytes
from steering.picture_measures import colours_of, distance
from steering.picture_sweep import SweepConfig, sweep_lever
from steering.pictures import compare_pictures
from steering.registry import OPERATIONS
from tests.fixtures.pictures import BAND, INPUTS, painter, picture_probe

LEFT = Mask.box(0, 0, 1, 0.5)


@pytest.fixture(scope="module")
def probe() -> Any:
    return picture_probe(painter())


def lever(operation: str = "add", strength: float = 1.0, **more: Any) -> Lever:
    params = OperationParams(target=7 if operation == "swap" else None, level=0.2, donor="a green frog")
    given = {"level": "low", "weights": {0: 1.0}, "operation": operation, "strength": strength, "params": params}
    return Lever.model_validate(given | more)


def made(levers: list[Lever], probe: Any) -> torch.Tensor:
    edits, _ = compile_levers(levers, probe, painter(), inputs=INPUTS)
    with hooked(painter(), write=edits):
        return painter().generate(INPUTS).images


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_strength_zero_is_bit_identical_and_another_is_felt(operation: str, probe: Any) -> None:
    plain = painter().generate(INPUTS).images
    assert torch.equal(made([lever(operation, 0.0)], probe), plain)
    assert not torch.equal(made([lever(operation, 1.0)], probe), plain)


def test_a_lever_acts_at_the_noise_of_its_level_unless_told_otherwise(probe: Any) -> None:
    for where, interval in (("", BAND), ("noise=0.0-0.5", (0.0, 0.5))):
        effect, seen = LeverEffect(), []
        edit = compile_lever(lever(where=where), probe, painter(), effect)
        with hooked(painter(), {edit.point: lambda x, at, seen=seen: seen.append(at.noise)}, [edit]) as tape:
            painter().run(INPUTS)
        inside = [noise for noise in seen if interval[0] <= noise <= interval[1]]
        cells = tape.edited_places[edit.point] // len(INPUTS.seeds)
        assert 0 < len(inside) < len(seen) and cells == 64 * len(inside)
        assert effect.places == tape.edited_places[edit.point]


def test_a_lever_acts_on_the_branch_its_level_was_read_on(probe: Any) -> None:
    low = probe.levels[0]
    turned = replace(low, record=low.record.model_copy(update={"where": Selector(noise=BAND, branch="uncond")}))
    other = replace(probe, levels=(turned, probe.levels[1]))
    found = compare_pictures(painter(), other, [lever()], INPUTS, controls=False)
    assert found.levers[0].effective == pytest.approx(-3.0) and found.levers[0].moved > 0
    both = compare_pictures(painter(), other, [lever(where="branch=both")], INPUTS, controls=False)
    assert both.levers[0].effective == pytest.approx(1.0)
    assert both.levers[0].places == 2 * found.levers[0].places


def test_a_mask_of_any_size_changes_only_its_cells_at_the_point(probe: Any) -> None:
    edit = compile_lever(lever(strength=3.0, where=f"cells={LEFT}"), probe, painter())
    behind = HookPoint(path=edit.point.path, tap="out")
    runs = []
    for write in ([], [edit]):
        with hooked(painter(), write=write), hooked(painter(), {behind: keep}) as tape:  # read what was edited
            painter().run(INPUTS)
        runs.append(tape[behind][0])  # later ones have heard of the first
    cond = slice(len(INPUTS.seeds), None)
    same = (runs[0] == runs[1]).all(dim=-1)
    painted = (LEFT.weights((8, 8)) > 0).flatten()
    assert bool(same[: cond.start].all())
    assert torch.equal(same[cond].all(dim=0), ~painted)


def test_the_limit_holds_at_every_cell_and_is_told(probe: Any) -> None:
    for limit, most in ((None, 0.5), (0.1, 0.1), (50.0, 50.0)):
        effect = LeverEffect()
        edit = compile_lever(lever(strength=8.0, limit=limit), probe, painter(), effect)
        with hooked(painter(), write=[edit]):
            painter().run(INPUTS)
        assert 0 < effect.largest <= most + 1e-5
        assert (effect.clipped > 0) == (most < 1)


def test_a_hard_push_is_called_off_distribution_and_a_soft_one_is_not(probe: Any) -> None:
    shares = []
    for strength in (0.05, 30.0):
        effect = LeverEffect()
        edit = compile_lever(lever(strength=strength, limit=100.0), probe, painter(), effect)
        with hooked(painter(), write=[edit]):
            painter().run(INPUTS)
        shares.append(effect.beyond / effect.moved)
    assert shares[0] < 0.1 and shares[1] > 0.9


def test_effective_strength_is_what_guidance_makes_of_each_branch() -> None:
    assert [lever(strength=2.0, where=f"branch={b}").effective(5.0) for b in ("cond", "uncond", "both")] == [
        10.0,
        -8.0,
        2.0,
    ]
    assert lever(strength=2.0).effective(None) == 2.0
    assert lever(strength=2.0, where="branch=uncond").effective(None) == 0.0


def test_a_comparison_says_what_happened_where(probe: Any) -> None:
    shown: dict[str, torch.Tensor] = {}

    def shelf(name: str, picture: torch.Tensor) -> str:
        shown[name] = picture
        return name

    heard: list[tuple[int, int, str]] = []
    found = compare_pictures(
        painter(),
        probe,
        [lever(strength=2.0, where=f"cells={LEFT}", limit=1.0)],
        INPUTS,
        asking="a green frog",
        previews=True,
        keep=shelf,
        progress=lambda *told: heard.append(told),
    )
    plain = painter().generate(INPUTS).images
    assert torch.equal(torch.stack([shown[name] for name in found.unsteered.pictures]), plain)
    assert found.unsteered.rmse == [] and len(found.steered.rmse_outside) == 2
    assert min(found.steered.rmse) > 0 and min(found.steered.drift) > 0
    names = [arm.name for arm in found.controls]
    assert names == [
        "random latents of equal norm",
        "difference of means, equal norm",
        "a prompt that asks for it",
    ]
    assert found.controls[-1].prompt == "a green frog"
    asked = painter().generate(INPUTS.model_copy(update={"prompts": ("a green frog",)})).images
    assert torch.equal(torch.stack([shown[name] for name in found.controls[-1].pictures]), asked)
    assert found.guidance == 4.0 and found.levers[0].effective == pytest.approx(8.0)
    assert len(found.noise) == INPUTS.steps and found.noise == sorted(found.noise, reverse=True)
    assert found.previews[0].noise == found.noise[0] and found.previews[-1].noise == 0
    assert heard[-1][0] == heard[-1][1] and [told[0] for told in heard] == sorted(told[0] for told in heard)
    assert PictureComparison.model_validate_json(found.model_dump_json()) == found


def test_nothing_changed_is_said_and_shown_black(probe: Any) -> None:
    shown: dict[str, torch.Tensor] = {}

    def shelf(name: str, picture: torch.Tensor) -> str:
        shown[name] = picture
        return name

    found = compare_pictures(painter(), probe, [lever(strength=0.0)], INPUTS, controls=False, keep=shelf)
    assert found.steered.rmse == [0.0, 0.0] and all(float(shown[name].max()) == 0 for name in found.difference)
    assert any("moved nothing" in notice for notice in found.notices)


def test_it_stops_within_one_step(probe: Any) -> None:
    heard: list[int] = []
    with pytest.raises(Stopped):
        compare_pictures(
            painter(),
            probe,
            [lever()],
            INPUTS,
            progress=lambda done, total, what: heard.append(done),
            stop=lambda: len(heard) == 3,
        )
    assert len(heard) == 3
    assert torch.equal(painter().generate(INPUTS).images, painter().generate(INPUTS).images)


@pytest.mark.parametrize(
    ("levers", "code"),
    [
        ([], "no-lever"),
        ([lever("patch", params=OperationParams(donor=" "))], "bad-lever"),
        ([lever(where=f"cells={Mask.of([[0.0, 1.0]])}")], "bad-mask"),
        ([lever(where="positions=prompt")], "no-positions"),
        ([lever(weights={99: 1.0})], "no-such-latent"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(levers: list[Lever], code: str, probe: Any) -> None:
    with pytest.raises(WorkbenchError) as failure:
        compare_pictures(painter(), probe, levers, INPUTS, controls=False)
    assert failure.value.code == code


def test_an_interval_without_a_step_is_told_of(probe: Any) -> None:
    found = compare_pictures(painter(), probe, [lever(where="noise=0.95-1.0")], INPUTS, controls=False)
    assert any("acts at no step" in notice for notice in found.notices)


def test_text_lever_sets_load_unchanged_and_picture_ones_round_trip(tmp_path: Any) -> None:
    old = '{"schema_version": 1, "probe": "p", "levers": [{"level": "low", "weights": {"3": 1.0}}]}'
    path = tmp_path / "levers.json"
    path.write_text(old)
    assert LeverSet.load(path).levers[0] == Lever(level="low", weights={3: 1.0})
    one = lever(where=f"cells={LEFT},noise=0.3-0.8,branch=both", limit=0.3)
    assert LeverSet.model_validate_json(LeverSet(probe="p", levers=(one,)).model_dump_json()).levers == (one,)


def test_masks_come_from_files_painted_white_or_not_transparent() -> None:
    from PIL import Image

    painted = np.zeros((20, 40, 4), dtype=np.uint8)
    painted[:, :20] = (0, 0, 0, 255)
    buffer = io.BytesIO()
    Image.fromarray(painted).save(buffer, format="PNG")
    for content in (buffer.getvalue(), png_bytes(LEFT.weights((20, 40))[None])):
        assert torch.equal(mask_from_bytes(content).weights((2, 2)), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    large = mask_from_bytes(png_bytes(LEFT.weights((900, 1200))[None]))
    assert max(large.height, large.width) == 256
    for content in (b"no picture", png_bytes(torch.zeros(1, 4, 4))):
        with pytest.raises(WorkbenchError, match="cannot be used"):
            mask_from_bytes(content)


def test_pictures_go_into_a_folder_under_safe_names(tmp_path: Any) -> None:
    from PIL import Image

    picture = torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(0))
    name = into_folder(tmp_path / "out")("../a prompt that asks", picture)
    read = np.asarray(Image.open(tmp_path / "out" / name), dtype=np.float32) / 255
    assert np.abs(read - picture.numpy().transpose(1, 2, 0)).max() <= 0.5 / 255 + 1e-6


def test_distances_inside_and_outside_share_out_the_whole() -> None:
    plain, steered = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    steered[..., :2] = 0.5
    found = distance(steered, plain, LEFT.weights((4, 4)))
    assert found.inside == [0.5] and found.outside == [0.0] and found.whole[0] == pytest.approx(0.5 / 2**0.5)


def test_previews_show_what_a_linear_decoder_made() -> None:
    draw = torch.Generator().manual_seed(3)
    latents = torch.randn(4, 8, 8, generator=draw)
    mix = torch.rand(3, 4, generator=draw) / 20
    picture = torch.einsum("kc,chw->khw", mix, latents) + 0.5
    shown = colours_of(latents[None], latents, picture.repeat_interleave(2, 1).repeat_interleave(2, 2))
    assert float((shown[0] - picture).abs().max()) < 0.02


def test_a_sweep_finds_the_interval_where_a_lever_acts_and_states_its_cost(probe: Any) -> None:
    inputs = INPUTS.model_copy(update={"seeds": (0,)})
    config = SweepConfig(intervals=2, points=2)
    heard: list[tuple[int, int, str]] = []
    found = sweep_lever(
        painter(),
        probe,
        lever(strength=2.0),
        inputs,
        asking="a green frog",
        config=config,
        progress=lambda *told: heard.append(told),
    )
    assert found.cost.runs == 2 + 2 * 2 * 2 and found.cost.calls == found.cost.runs * inputs.steps
    assert heard[-1][:2] == (found.cost.calls, found.cost.calls)
    assert [(row.by, row.noise) for row in found.rows] == [
        ("lever", (0.0, 0.5)),
        ("lever", (0.5, 1.0)),
        ("difference of means", (0.0, 0.5)),
        ("difference of means", (0.5, 1.0)),
    ]
    assert all(row.drift and row.drift > 0 for row in found.rows)
    # A sweep of nothing works nowhere, and says so.
    still = sweep_lever(painter(), probe, lever(strength=0.0), inputs, config=SweepConfig(intervals=1, points=1))
    assert [row.effect for row in still.rows] == [0.0] and "nowhere" in still.works_at
    with pytest.raises(WorkbenchError, match="too long"):
        sweep_lever(painter(), probe, lever(), inputs, config=SweepConfig(most_calls=10))
