"""Which row of a call of the denoiser is of which picture and guidance branch, and what the call is about."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from probes.errors import WorkbenchError
from probes.hooks import Edit, Selector, hooked
from probes.masks import Mask
from probes.subjects.denoiser import canvas_of
from probes.subjects.guidance import branches_of
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs
from tests.fixtures.picture_edits import first_calls, push
from tests.fixtures.pipelines import FAMILIES, instruct_pix2pix, prompted, subject_of, unconditional


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
