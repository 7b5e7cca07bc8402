"""Where a run is, by its scheduler: calls, whole steps, noise, windows, and going on from the middle."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from probes.hooks import Edit, Selector, Where, hooked
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.noise_clock import Clock, noise_at, whole_steps
from tests.fixtures.pipelines import prompted

STEPS = 5
ONCE = list(range(STEPS))
TWICE = [0, 0, 1, 1, 2, 2, 3, 3, 4]
# The whole step of every denoiser call.
SCHEDULERS: dict[str, tuple[type, dict[str, Any], list[int]]] = {
    "DDIM": (diffusers.DDIMScheduler, {"clip_sample": False}, ONCE),
    "DDPM": (diffusers.DDPMScheduler, {"clip_sample": False}, ONCE),
    "Euler": (diffusers.EulerDiscreteScheduler, {}, ONCE),
    "Euler ancestral": (diffusers.EulerAncestralDiscreteScheduler, {}, ONCE),
    "DPM-Solver++": (diffusers.DPMSolverMultistepScheduler, {"use_karras_sigmas": True}, ONCE),
    "UniPC": (diffusers.UniPCMultistepScheduler, {}, ONCE),
    "LCM": (diffusers.LCMScheduler, {"original_inference_steps": 50}, ONCE),
    "PNDM": (diffusers.PNDMScheduler, {"skip_prk_steps": True}, [0, 1, 1, 2, 3, 4]),
    "Heun": (diffusers.HeunDiscreteScheduler, {}, TWICE),
    "KDPM2": (diffusers.KDPM2DiscreteScheduler, {}, TWICE),
}


@pytest.fixture(params=list(SCHEDULERS))
def scheduled(
    request: pytest.FixtureRequest, tiny_pictures: ImageDiffusion, monkeypatch: pytest.MonkeyPatch
) -> tuple[ImageDiffusion, list[int]]:
    """The small pipeline with one scheduler after the other, and the whole step of each of its calls."""
    kind, config, steps = SCHEDULERS[request.param]
    monkeypatch.setattr(tiny_pictures.pipeline, "scheduler", kind(**config))
    return tiny_pictures, steps


def told(x: Tensor, where: Where) -> Where:
    return where


def push(x: Tensor, where: Where) -> Tensor:
    return torch.ones_like(x)


def test_every_scheduler_says_where_each_call_is(scheduled: tuple[ImageDiffusion, list[int]]) -> None:
    subject, steps = scheduled
    point = subject.known_points()[0]
    calls = subject.activations(prompted("a dot", steps=STEPS), {point: told})[point]
    noise = [where.noise for where in calls]
    assert [where.step for where in calls] == steps
    assert noise == sorted(noise, reverse=True)
    assert all(0 <= value <= 1 for value in noise) and noise[0] > 0.75 and noise[-1] < 0.3
    assert len(set(noise)) == STEPS
    by_step = {(where.step, where.noise) for where in calls}
    assert len(by_step) == STEPS  # the second half of a step has the noise of the first


def test_a_window_takes_whole_steps_and_never_reaches_beyond_it(scheduled: tuple[ImageDiffusion, list[int]]) -> None:
    """Each step is in a window with all its calls or with none, and the early half holds no late step."""
    subject, _ = scheduled
    point = subject.known_points()[0]
    inputs = prompted("a dot", steps=STEPS)
    calls = subject.activations(inputs, {point: told})[point]
    for low, high in ((0.5, 1.0), (0.0, 0.5), (0.2, 0.7)):
        inside = [low <= where.noise <= high for where in calls]
        with hooked(subject, write=[Edit(point, Selector(noise=(low, high)), push)]) as tape:
            subject.run(inputs)
        assert tape.edited_places[point] == sum(inside) * 8 * 16
        assert len({(where.step, hit) for where, hit in zip(calls, inside, strict=True)}) == STEPS
    early = [where.step for where in calls if where.noise is not None and where.noise >= 0.5]
    assert early and max(early) <= 3


def test_a_run_goes_on_from_the_middle_whatever_the_scheduler_remembers(
    scheduled: tuple[ImageDiffusion, list[int]],
) -> None:
    """Solvers of several steps, second-order ones and those that draw noise at every step, bit for bit."""
    subject, _ = scheduled
    inputs = prompted("a dot", "a hut", steps=STEPS, seeds=(1, 2))
    with torch.no_grad():
        whole = subject.sampled(inputs, keep=(1, 3))
        for start in whole.checkpoints.values():
            assert torch.equal(subject.sampled(inputs, start=start).latents, whole.latents)
        one = subject.sampled(prompted("a hut", steps=STEPS), start=whole.checkpoints[3].rows([1])).latents
    assert len(whole.checkpoints) == 2
    torch.testing.assert_close(one[0], whole.latents[1], rtol=1e-3, atol=1e-3)


def test_noise_drawn_at_every_step_is_that_of_the_row(scheduled: tuple[ImageDiffusion, list[int]]) -> None:
    subject, _ = scheduled
    inputs = prompted("a dot", "a hut", steps=STEPS, seeds=(1, 2))
    one, other = (subject.generate(inputs, seeds=(1, seed)).images for seed in (2, 3))
    assert torch.equal(one[0], other[0]) and not torch.equal(one[1], other[1])
    assert torch.equal(subject.generate(inputs, seeds=(1, 2)).images, one)


def test_progress_counts_whole_steps(scheduled: tuple[ImageDiffusion, list[int]]) -> None:
    subject, _ = scheduled
    seen: list[tuple[int, int]] = []
    subject.sampled(prompted("a dot", steps=STEPS), progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (STEPS, STEPS)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_noise_that_a_pipeline_draws_untold_follows_the_row_too(pipeline_subjects: Any) -> None:
    """The DiT pipeline gives its scheduler no generator."""
    from tests.fixtures.pipelines import FAMILIES

    subject = pipeline_subjects("dit")
    before = subject.pipeline.scheduler
    subject.pipeline.scheduler = diffusers.DDPMScheduler(clip_sample=False)
    try:
        one, other = (subject.generate(FAMILIES["dit"].inputs(), seeds=(seed, 1)).images for seed in (2, 3))
    finally:
        subject.pipeline.scheduler = before
    assert torch.equal(one[1], other[1]) and not torch.equal(one[0], other[0])


@pytest.mark.parametrize("kind", [diffusers.EDMEulerScheduler, diffusers.EDMDPMSolverMultistepScheduler])
def test_timesteps_that_are_no_training_steps_are_read_off_the_sigmas(kind: type) -> None:
    scheduler = kind()
    scheduler.set_timesteps(5)
    noise = [noise_at(scheduler, at) for at in range(5)]
    assert noise[0] == 1 and noise == sorted(noise, reverse=True) and len(set(noise)) == 5 and noise[-1] >= 0


def test_continuous_timesteps_are_read_off_the_sigmas() -> None:
    scheduler = diffusers.EulerDiscreteScheduler(timestep_type="continuous", prediction_type="v_prediction")
    scheduler.set_timesteps(4)
    noise = [noise_at(scheduler, at) for at in range(4)]
    assert noise[0] == 1 and noise == sorted(noise, reverse=True) and noise[-1] == 0


def test_without_a_step_index_the_nearest_timestep_counts_in_either_unit() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(4)
    assert scheduler.step_index is None
    for scale in (1.0, 1000.0):
        clock = Clock()
        found = [clock.read(scheduler, float(t) / scale).step for t in scheduler.timesteps]
        assert found == [0, 1, 2, 3]
    clock = Clock()
    assert [clock.read(scheduler, t).step for t in (1000.0, 334.0, 1000.0)] == [0, 2, 2]  # never back
    assert whole_steps(scheduler) == 4
