"""Runs of pipelines that end early, go on from a checkpoint or an activation, and are differentiable on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from probes.errors import Stopped
from probes.hooks import Edit, HookPoint, Selector, Where, hooked, keep
from probes.subjects.denoiser import denoisers_of
from probes.subjects.image_diffusion import ImageDiffusion
from tests.fixtures.picture_edits import BOTH, hooks_left, images, left_behind, push, told
from tests.fixtures.pipelines import FAMILIES, Family, prompted, subject_of, wan_of_two


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


def test_going_on_from_a_given_activation(tiny_pictures: ImageDiffusion) -> None:
    subject, inputs = tiny_pictures, prompted("a dot", steps=1, seeds=(1,))
    point = HookPoint(path=subject.known_points()[-1].path)
    x = subject.activations(inputs, {point: keep})[point][0]
    plain, other = subject.generate(inputs).images, prompted("another thing", steps=1, seeds=(1,))
    assert not torch.equal(subject.generate(other).images, plain)
    with subject.restarted(point, x):
        assert torch.equal(subject.activations(other, {point: keep})[point][0], x)


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
