"""Pipelines of seven families under the hook contract: bit for bit, by step, branch, cell, seed and thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from probes.errors import Stopped, WorkbenchError
from probes.hooks import Edit, HookPoint, Selector, Where, hooked, keep
from probes.masks import Mask
from probes.subjects.denoiser import MEMBERS, canvas_of, denoisers_of
from probes.subjects.guidance import branches_of
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs
from probes.subjects.passing import as_places
from tests.fixtures.pipelines import (
    FAMILIES,
    Family,
    instruct_pix2pix,
    prompted,
    stable_diffusion,
    subject_of,
    unconditional,
    wan_of_two,
)

BOTH = Selector(branch="both")


def push(x: Tensor, where: Where) -> Tensor:
    """The same uneven direction everywhere."""
    return 2 * torch.sin(torch.arange(x.shape[-1]) + 1.0).expand(x.shape)


def nothing(x: Tensor, where: Where) -> Tensor:
    return torch.zeros_like(x)


def told(x: Tensor, where: Where) -> Where:
    return where


def both_told(x: Tensor, where: Where) -> tuple[Where, Tensor]:
    return where, x.detach().clone()


def hooks_left(subject: ImageDiffusion) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in subject.root.modules())


def left_behind(subject: ImageDiffusion) -> list[str]:
    """What a run must not leave on what it was lent."""
    parts = {"denoiser": subject.root, "scheduler": subject.pipeline.scheduler}
    watched = {"cache_context", "step", "set_timesteps", "forward"}
    return [f"{name} of the {part}" for part, owner in parts.items() for name in watched & set(vars(owner))]


def images(subject: ImageDiffusion, family: Family) -> Tensor:
    return subject.generate(family.inputs()).images


def edited_at(point: HookPoint) -> HookPoint:
    """Where what leaves the module can be read after an edit there."""
    return HookPoint(path=point.path)


# -- the matrix ----------------------------------------------------------------------------------------


def test_runs_recordings_and_edits_of_nothing_are_bit_identical(
    pipeline_family: tuple[ImageDiffusion, Family],
) -> None:
    subject, family = pipeline_family
    points = subject.known_points()
    plain = images(subject, family)
    assert plain.dtype == torch.float32 and 0 <= float(plain.min()) < float(plain.max()) <= 1
    assert torch.equal(images(subject, family), plain)
    with hooked(subject, dict.fromkeys(points, keep)):
        assert torch.equal(images(subject, family), plain)
    with hooked(subject, write=[Edit(point, BOTH, nothing) for point in points]) as tape:
        assert torch.equal(images(subject, family), plain)
    assert all(tape.edited_places.values())
    with hooked(subject, write=[Edit(points[0], BOTH, push)]):
        assert not torch.equal(images(subject, family), plain)
    assert torch.equal(images(subject, family), plain)
    assert hooks_left(subject) == 0 and not left_behind(subject)


def test_rows_noise_and_grid_of_every_family(pipeline_family: tuple[ImageDiffusion, Family]) -> None:
    subject, family = pipeline_family
    point = subject.known_points()[0]
    calls = subject.activations(family.inputs(), {point: told})[point]
    branches = [where.branches for where in calls]
    assert all(where.grid == family.grid for where in calls)
    assert all(where.items == (0, 1) * (len(where.branches) // 2) for where in calls)
    if subject.name == "wan":
        assert branches == [("cond", "cond"), ("uncond", "uncond")] * 4
        calls = calls[::2]
    else:
        assert branches == [family.branches] * 4
    noise = [where.noise for where in calls]
    assert [where.step for where in calls] == [0, 1, 2, 3]
    assert noise == sorted(noise, reverse=True) and 0 <= noise[-1] < 0.3 and 0.7 < noise[0] <= 1


def test_an_edit_from_a_noise_on_changes_nothing_before_it(pipeline_family: tuple[ImageDiffusion, Family]) -> None:
    subject, family = pipeline_family
    first, last = subject.known_points()[0], subject.known_points()[-1]
    plain = subject.activations(family.inputs(), {first: both_told, last: keep})
    at_two = next(where.noise for where, _ in plain[first] if where.step == 2)
    with hooked(subject, {first: both_told, last: keep}, [Edit(first, Selector(noise=(0, at_two)), push)]) as tape:
        subject.run(family.inputs())
    steps = [where.step for where, _ in plain[first]]
    before = [torch.equal(a, b) for (_, a), (_, b) in zip(plain[first], tape[first], strict=True)]
    after = [torch.equal(a, b) for a, b in zip(plain[last], tape[last], strict=True)]
    assert before == [step <= 2 for step in steps]  # at step 2 the reader still sees the unedited activation
    edited = [step >= 2 and "cond" in where.branches for step, (where, _) in zip(steps, plain[first], strict=True)]
    reached = [step > 2 or hit for step, hit in zip(steps, edited, strict=True)]
    assert after == [not hit for hit in reached]


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
def test_a_run_that_ends_early_leaves_nothing_behind(pipeline_family: tuple[ImageDiffusion, Family], how: str) -> None:
    subject, family = pipeline_family
    plain, scheduler = images(subject, family), subject.pipeline.scheduler
    point, done = subject.known_points()[-1], []

    def fail(x: Tensor, where: Where) -> Tensor:
        if where.step == 1 and how == "fails":
            raise RuntimeError("on purpose")
        return torch.zeros_like(x)

    def stop() -> bool:
        return how == "is cancelled" and len(done) == 2

    error = RuntimeError if how == "fails" else Stopped
    with pytest.raises(error), hooked(subject, write=[Edit(point, BOTH, fail)]) as tape:
        subject.generate(family.inputs(), progress=lambda at, of: done.append((at, of)), stop=stop)
    assert done == [(1, 4), (2, 4)][: 1 if how == "fails" else 2]
    assert tape.calls == 2 * (2 if subject.name == "wan" else 1) - (subject.name == "wan" and how == "fails")
    assert hooks_left(subject) == 0 and not left_behind(subject)
    assert subject.pipeline.scheduler is scheduler
    assert torch.equal(images(subject, family), plain)


def test_an_edit_of_one_branch_leaves_the_rows_of_the_other(pipeline_family: tuple[ImageDiffusion, Family]) -> None:
    subject, family = pipeline_family
    point = subject.known_points()[0]
    after = edited_at(point)
    inputs = family.inputs()
    plain = subject.activations(inputs, {after: both_told})[after]
    for branch in ("cond", "uncond"):
        with hooked(subject, write=[Edit(point, Selector(branch=branch), push)]) as tape:  # type: ignore[arg-type]
            seen = subject.activations(inputs, {after: both_told})[after]
        for (where, x), (_, y) in list(zip(plain, seen, strict=True))[: len({*family.branches, "uncond"})]:
            if where.step == 0:
                moved = [not torch.equal(a, b) for a, b in zip(x, y, strict=True)]
                assert moved == [name == branch for name in where.branches]
        guided = subject.name == "wan" or "uncond" in family.branches
        assert (tape.edited_places[point] > 0) == (branch == "cond" or guided)


def test_a_mask_is_exact_cell_by_cell_and_row_by_row(pipeline_family: tuple[ImageDiffusion, Family]) -> None:
    subject, family = pipeline_family
    point = subject.known_points()[0]
    after, inputs = edited_at(point), family.inputs()
    weights = torch.linspace(0, 1, family.grid[0] * family.grid[1]).reshape(family.grid)
    weights[:, -1] = 0
    mask = Mask.of(weights)
    plain = subject.activations(inputs, {after: both_told})[after]
    chosen = Selector(cells=mask, rows=(1,), branch="both")
    with hooked(subject, write=[Edit(point, chosen, push)]):
        seen = subject.activations(inputs, {after: both_told})[after]
    where, x = plain[0]
    y = seen[0][1]
    each = mask.weights(family.grid).flatten().repeat(x.shape[1] // weights.numel())
    for row, item in enumerate(where.items):
        if item == 0:
            assert torch.equal(x[row], y[row])
        else:
            assert torch.equal((x[row] != y[row]).any(-1), each > 0)
            assert torch.equal(y[row], x[row] + push(x[row], where) * each[:, None])


def test_a_run_goes_on_from_a_checkpoint_bit_for_bit(pipeline_family: tuple[ImageDiffusion, Family]) -> None:
    subject, family = pipeline_family
    with torch.no_grad():
        whole = subject.sampled(family.inputs(), keep=(0, 2), decode=True)
        for step, start in whole.checkpoints.items():
            assert start.moment.step == step
            again = subject.sampled(family.inputs().seeded((8, 9)), start=start, decode=True)
            assert torch.equal(again.latents, whole.latents)
            assert torch.equal(again.images, whole.images)
            calls = subject.sampled(family.inputs(), start=start, until=step + 1, keep=(step,))
            assert torch.equal(calls.checkpoints[step].latents, start.latents)
    assert torch.equal(whole.images.float(), images(subject, family))
    assert hooks_left(subject) == 0 and not left_behind(subject)


def test_a_denoiser_that_hands_over_to_another_is_seen_as_long_as_it_runs() -> None:
    subject, inputs = subject_of(wan_of_two), FAMILIES["wan"].inputs()
    point = subject.known_points()[0]
    calls = subject.activations(inputs, {point: told})[point]
    assert [where.step for where in calls] == [0, 0, 1, 1]
    with torch.no_grad():
        whole = subject.sampled(inputs, keep=(1, 3))
        for start in whole.checkpoints.values():
            assert torch.equal(subject.sampled(inputs, start=start).latents, whole.latents)
    assert sorted(whole.checkpoints) == [1, 3]
    assert not any(vars(module).get("cache_context") for module in denoisers_of(subject.pipeline))


# -- guidance ------------------------------------------------------------------------------------------


def first_calls(subject: ImageDiffusion, inputs: ImageInputs) -> list[tuple[str, ...]]:
    point = subject.known_points()[0]
    return [where.branches for where in subject.activations(inputs, {point: told})[point]]


def test_three_chunks_and_the_appended_picture() -> None:
    subject = subject_of(instruct_pix2pix)
    picture = torch.rand(2, 3, 8, 16, generator=torch.Generator().manual_seed(3))
    extra = {"image": picture, "image_guidance_scale": 1.5}
    inputs = prompted("a dot", "a hut", height=None, width=None, seeds=(1, 2), extra=extra)
    assert first_calls(subject, inputs) == [("cond", "cond", "image", "image", "uncond", "uncond")] * 4
    with torch.no_grad():
        whole = subject.sampled(inputs, keep=(2,))
        assert torch.equal(subject.sampled(inputs, start=whole.checkpoints[2]).latents, whole.latents)


def test_guidance_in_separate_calls_is_read_from_what_the_pipeline_calls_them(pipeline_subjects: Any) -> None:
    subject, inputs = pipeline_subjects("flux"), FAMILIES["flux"].inputs()
    other = {f"negative_{name}": value.flip(0) for name, value in inputs.extra.items()}
    guided = ImageInputs(**{**dict(inputs), "extra": inputs.extra | other | {"true_cfg_scale": 3.0}})
    assert first_calls(subject, guided) == [("cond", "cond"), ("uncond", "uncond")] * 4


def test_rows_are_labelled_anew_when_guidance_is_cut_off_midway(tiny_pictures: ImageDiffusion) -> None:
    def cut(pipeline: Any, step: int, t: Any, given: dict[str, Any]) -> dict[str, Any]:
        if step == 1:
            pipeline._guidance_scale = 0.0
            given["prompt_embeds"] = given["prompt_embeds"].chunk(2)[-1]
        return given

    extra = {"callback_on_step_end": cut, "callback_on_step_end_tensor_inputs": ["prompt_embeds"]}
    inputs = prompted("a dot", "a hut", seeds=(1, 2), extra=extra)
    assert first_calls(tiny_pictures, inputs) == [("uncond",) * 2 + ("cond",) * 2] * 2 + [("cond",) * 2] * 2


def test_rows_that_cannot_be_told_apart_are_refused(tiny_pictures: ImageDiffusion) -> None:
    for rows in (8, 3):
        with pytest.raises(WorkbenchError, match=f"{rows} rows for 2 pictures"):
            branches_of(tiny_pictures.pipeline, rows, 2, None)


def test_a_pipeline_without_words_or_guidance_or_attention() -> None:
    subject = subject_of(unconditional)
    point, inputs = subject.known_points()[0], ImageInputs(steps=3, seeds=(1, 2))
    assert first_calls(subject, inputs) == [("cond", "cond")] * 3
    plain = subject.generate(inputs).images
    assert plain.shape == (2, 3, 8, 8)
    assert torch.equal(subject.generate(inputs, seeds=(1, 5)).images[0], plain[0])
    with hooked(subject, write=[Edit(point, Selector(cells=Mask.box(0, 0, 0.5, 1), rows=(1,)), push)]) as tape:
        steered = subject.generate(inputs).images
    assert tape.edited_places[point] == 3 * 32
    assert torch.equal(steered[0], plain[0]) and not torch.equal(steered[1], plain[1])


# -- what a call is about ------------------------------------------------------------------------------


class Call(torch.nn.Module):
    """A denoiser of which only the call is looked at."""

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.config = config

    def forward(self, hidden_states: Tensor, timestep: Tensor) -> None: ...


@pytest.mark.parametrize(
    ("config", "shape", "given", "canvas"),
    [
        ({}, (2, 4, 6, 10), {}, (1, 6, 10)),
        ({"in_channels": 4, "patch_size": (1, 2, 2)}, (2, 4, 3, 6, 10), {}, (3, 6, 10)),
        ({"in_channels": 4, "patch_size": 2, "patch_size_t": 2}, (2, 3, 4, 6, 10), {}, (2, 6, 10)),  # frames first
        ({}, (2, 60, 8), {"img_shapes": [[(1, 6, 10)]] * 2}, (1, 6, 10)),
        ({}, (2, 120, 8), {"img_shapes": [[(1, 6, 10), (1, 6, 10)]] * 2}, (2, 6, 10)),  # a picture beside it
        ({}, (2, 75, 8), {"img_shapes": [[(1, 6, 10), (1, 3, 5)]] * 2}, None),
        ({}, (2, 180, 8), {"num_frames": 3, "height": 6, "width": 10}, (3, 6, 10)),
        ({}, (2, 180, 8), {}, None),
    ],
)
def test_what_a_call_is_about_is_read_off_its_arguments(
    config: dict[str, Any], shape: tuple[int, ...], given: dict[str, Any], canvas: tuple[int, int, int] | None
) -> None:
    assert canvas_of(Call(**config), {"hidden_states": torch.zeros(shape), **given}) == canvas


# -- seeds and threads ---------------------------------------------------------------------------------


def test_a_picture_follows_from_its_own_seed_whoever_is_beside_it(
    pipeline_family: tuple[ImageDiffusion, Family],
) -> None:
    subject, family = pipeline_family
    inputs = family.inputs()
    one, other = (subject.generate(inputs, seeds=seeds).images for seeds in ((1, 2), (1, 3)))
    assert torch.equal(one[0], other[0]) and not torch.equal(one[1], other[1])
    swapped = subject.generate(inputs, seeds=(2, 1)).images
    assert not torch.equal(swapped[0], one[0])


def test_a_condition_given_once_is_for_every_picture(pipeline_subjects: Any) -> None:
    subject = pipeline_subjects("dit")
    once, each = (
        subject.generate(ImageInputs(steps=2, guidance=5.0, seeds=(1, 2), extra={"class_labels": labels})).images
        for labels in ([3], [3, 3])
    )
    assert torch.equal(once, each)
    with pytest.raises(WorkbenchError, match="3 seeds for 2"):
        subject.generate(ImageInputs(seeds=(1, 2, 3), extra={"class_labels": [3, 4]}))


def test_one_prompt_with_several_seeds_is_one_picture_each(tiny_pictures: ImageDiffusion) -> None:
    made = tiny_pictures.generate(prompted("a dot", seeds=(1, 2, 3)))
    assert made.images.shape == (3, 3, 8, 16) and made.seeds == (1, 2, 3) and made.blocked == (False,) * 3
    again = tiny_pictures.generate(prompted("a dot", "a dot", "a dot", seeds=(1, 2, 3)))
    assert torch.equal(made.images, again.images)


def test_two_sessions_at_once_each_see_their_solo_run(tiny_pictures: ImageDiffusion) -> None:
    subject, inputs = tiny_pictures, prompted("a dot", seeds=(4,))
    points = subject.known_points()

    def session(edits: list[Edit]) -> Tensor:
        with hooked(subject, write=edits):
            return subject.generate(inputs).images

    recipes = [[], [Edit(points[0], BOTH, push)], [Edit(points[-1], Selector(), push)]]
    solo = [session(edits) for edits in recipes]
    ready = threading.Barrier(len(recipes))

    def at_once(edits: list[Edit]) -> list[Tensor]:
        ready.wait(timeout=120)
        return [session(edits) for _ in range(2)]

    with ThreadPoolExecutor(len(recipes)) as pool:
        together = [task.result(timeout=300) for task in [pool.submit(at_once, edits) for edits in recipes]]
    assert all(torch.equal(made, alone) for pair, alone in zip(together, solo, strict=True) for made in pair)
    assert hooks_left(subject) == 0


def test_subjects_of_one_pipeline_share_its_lock(tiny_pictures: ImageDiffusion) -> None:
    assert ImageDiffusion(tiny_pictures.pipeline, name="again").lock is tiny_pictures.lock


# -- the differentiable loop ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sd", "flux", "dit"])
def test_the_loop_is_differentiable_through_edits_and_steps(name: str, pipeline_subjects: Any) -> None:
    subject, inputs = pipeline_subjects(name), FAMILIES[name].inputs()
    point = subject.known_points()[0]
    with torch.no_grad():
        start = subject.sampled(inputs, keep=(2,)).checkpoints[2]
    read = torch.randn(start.latents.shape, generator=torch.Generator().manual_seed(1))

    def out(size: Tensor) -> Tensor:
        with hooked(subject, write=[Edit(point, Selector(rows=(1,)), lambda x, where: size * push(x, where))]):
            return (subject.sampled(inputs, start=start).latents * read).sum()

    size = torch.zeros((), requires_grad=True)
    (slope,) = torch.autograd.grad(out(size), size)
    with torch.no_grad():
        difference = (out(torch.tensor(0.05)) - out(torch.tensor(-0.05))) / 0.1
    assert abs(float(slope)) > 1e-3
    torch.testing.assert_close(slope, difference, rtol=0.02, atol=1e-3)
    latents = start.latents.clone().requires_grad_()
    (by_cell,) = torch.autograd.grad(
        subject.sampled(inputs, start=replace(start, latents=latents)).latents.sum(), latents
    )
    assert by_cell.shape == latents.shape and bool((by_cell != 0).flatten(1).any(1).all())


def test_checkpoints_give_any_rows_any_number_of_times(tiny_pictures: ImageDiffusion) -> None:
    subject, point = tiny_pictures, tiny_pictures.known_points()[0]
    inputs = prompted("a dot", seeds=(1, 2))
    with torch.no_grad():
        whole = subject.sampled(inputs, keep=(2,))
        start = whole.checkpoints[2].rows([1, 1, 0])
        with hooked(subject, write=[Edit(point, Selector(rows=(1,)), push)]):
            found = subject.sampled(prompted("a dot"), start=start).latents
    for row, seed in ((0, 1), (2, 0)):
        torch.testing.assert_close(found[row], whole.latents[seed], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found[1], found[0], atol=1e-2)


# -- other contracts -----------------------------------------------------------------------------------


def test_the_output_that_is_the_picture_is_found_module_by_module(pipeline_subjects: Any) -> None:
    """A block of two streams returns the words first; what is read and edited is the picture all the same."""
    for name, block in (("sd3", "transformer_blocks.0"), ("flux", "single_transformer_blocks.0")):
        subject, family = pipeline_subjects(name), FAMILIES[name]
        points = [HookPoint(path=block, tap=tap) for tap in ("in", "out", "update")]  # type: ignore[arg-type]
        seen = subject.activations(family.inputs(), dict.fromkeys(points, keep))
        given, gave, added = (seen[point][0] for point in points)
        assert given.shape[1] == family.grid[0] * family.grid[1]
        assert torch.equal(added, gave - given)


def test_diffusers_registry_and_our_table_agree() -> None:
    helpers = pytest.importorskip("diffusers.hooks._helpers")
    helpers.TransformerBlockRegistry._register()
    known = {
        kind.__name__: row.return_hidden_states_index
        for kind, row in helpers.TransformerBlockRegistry._registry.items()
    }
    assert len(known) > 15
    assert {name: MEMBERS.get(name, 0) for name in known} == known


def test_our_table_stands_in_where_diffusers_has_none(monkeypatch: pytest.MonkeyPatch, pipeline_subjects: Any) -> None:
    from probes.subjects import denoiser

    subject = pipeline_subjects("sd3")
    point = subject.known_points()[0]
    monkeypatch.setattr(denoiser, "_registered", lambda kind: None)
    assert subject.points.member(point) == 1


def test_a_point_without_an_update_says_so(tiny_pictures: ImageDiffusion) -> None:
    point = HookPoint(path="conv_in", tap="update")
    with pytest.raises(WorkbenchError, match="has no update"):
        tiny_pictures.activations(prompted("a dot"), {point: keep})
    assert hooks_left(tiny_pictures) == 0


def test_going_on_from_a_given_activation(tiny_pictures: ImageDiffusion) -> None:
    subject, inputs = tiny_pictures, prompted("a dot", steps=1, seeds=(1,))
    point = HookPoint(path=subject.known_points()[-1].path)
    x = subject.activations(inputs, {point: keep})[point][0]
    plain, other = subject.generate(inputs).images, prompted("another thing", steps=1, seeds=(1,))
    assert not torch.equal(subject.generate(other).images, plain)
    with subject.restarted(point, x):
        assert torch.equal(subject.activations(other, {point: keep})[point][0], x)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"height": 9}, "divisible by 8"),
        ({"extra": {"class_labels": [1]}}, "does not take class_labels"),
        ({"prompts": ()}, "prompt"),
        ({"prompts": ("a", "b", "c"), "seeds": (1, 2, 3), "extra": {"prompt_embeds": torch.zeros(2, 5, 16)}}, "prompt"),
    ],
)
def test_inputs_a_pipeline_does_not_take_are_refused_in_a_sentence(
    tiny_pictures: ImageDiffusion, change: dict[str, Any], why: str
) -> None:
    inputs = ImageInputs(**{**dict(prompted("a dot")), **change})
    with pytest.raises(WorkbenchError, match=why):
        tiny_pictures.generate(inputs)
    assert hooks_left(tiny_pictures) == 0 and not left_behind(tiny_pictures)


def test_an_argument_a_pipeline_must_have_is_asked_for(pipeline_subjects: Any) -> None:
    with pytest.raises(WorkbenchError, match="class_labels"):
        pipeline_subjects("dit").generate(ImageInputs(steps=1))


def test_a_call_outside_a_run_is_refused(tiny_pictures: ImageDiffusion) -> None:
    point = tiny_pictures.known_points()[0]
    with pytest.raises(WorkbenchError, match="outside a run"), hooked(tiny_pictures, {point: keep}):
        tiny_pictures.pipeline("a dot", height=8, width=8, num_inference_steps=1)


def test_numbers_that_are_not_finite_name_the_first_place_and_step(tiny_pictures: ImageDiffusion) -> None:
    subject = tiny_pictures
    point = subject.known_points()[1]

    def overflow(x: Tensor, where: Where) -> Tensor:
        return torch.full_like(x, float("inf") if where.step == 2 else 0.0)

    with (
        pytest.raises(WorkbenchError, match=rf"first at {point.path}, step 2"),
        hooked(subject, write=[Edit(point, BOTH, overflow)]),
    ):
        subject.generate(prompted("a dot"))
    assert hooks_left(subject) == 0


def test_pictures_that_overflow_only_in_the_decoder_say_so(tiny_pictures: ImageDiffusion) -> None:
    def overflow(module: Any, args: Any, output: Any) -> Any:
        return output * float("nan")

    handle = tiny_pictures.pipeline.vae.decoder.register_forward_hook(overflow)
    try:
        with pytest.raises(WorkbenchError, match="decoder that overflows"):
            tiny_pictures.generate(prompted("a dot"))
    finally:
        handle.remove()


def test_a_picture_the_safety_checker_blanked_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = subject_of(stable_diffusion)

    def checked(image: Any, device: Any, dtype: Any) -> tuple[Any, list[bool]]:
        image = image.clone()
        image[1] = 0
        return image, [False, True]

    monkeypatch.setattr(subject.pipeline, "run_safety_checker", checked)
    made = subject.generate(prompted("a dot", "a hut", seeds=(1, 2)))
    assert made.blocked == (False, True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_pipelines_keep_the_contract(dtype: torch.dtype) -> None:
    subject = subject_of(lambda: stable_diffusion().to(dtype))
    inputs = prompted("a dot", seeds=(1,), steps=2)
    plain, given = subject.generate(inputs).images, []

    def note(x: Tensor, where: Where) -> Tensor:
        given.append(x.dtype)
        return torch.zeros_like(x)

    assert plain.dtype == torch.float32
    with hooked(subject, write=[Edit(point, BOTH, note) for point in subject.known_points()]):
        assert torch.equal(subject.generate(inputs).images, plain)
    assert set(given) == {torch.float32}


def test_the_order_of_known_points_is_that_of_the_computation(
    pipeline_family: tuple[ImageDiffusion, Family],
) -> None:
    subject, family = pipeline_family
    ran: list[str] = []
    note: Callable[[str], Callable[..., None]] = lambda path: lambda *_: ran.append(path)  # noqa: E731
    handles = [subject.points.module(p).register_forward_hook(note(p.path)) for p in subject.known_points()]
    try:
        subject.sampled(family.inputs(), until=1)
    finally:
        for handle in handles:
            handle.remove()
    known = [point.path for point in subject.known_points()]
    assert ran[: len(known)] == known
    fractions = [subject.fraction_of(point) for point in subject.known_points()]
    assert fractions == sorted(fractions) and 0 < fractions[0] < fractions[-1] < 1
    assert as_places(torch.zeros(1, 2, 3, 4, 5))[0].shape == (1, 60, 2)
