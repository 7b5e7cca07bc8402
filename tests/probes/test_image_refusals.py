"""What a pipeline does not take, or makes wrongly, is said in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from probes.errors import WorkbenchError
from probes.hooks import Edit, Where, hooked, keep
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs
from tests.fixtures.picture_edits import BOTH, hooks_left, left_behind
from tests.fixtures.pipelines import prompted, stable_diffusion, subject_of


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
