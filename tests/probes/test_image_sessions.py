"""A picture follows from its own seed and condition, whoever is beside it in a batch or in another thread."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from probes.errors import WorkbenchError
from probes.hooks import Edit, Selector, hooked
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs
from tests.fixtures.picture_edits import BOTH, hooks_left, push
from tests.fixtures.pipelines import Family, prompted


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
