"""The terrain model: weights that nobody here trained, and a lever whose effect needs no label to be read."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from probes.addresses import HookPoint, Selector
from probes.hooks import Edit, Where, hooked
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs
from probes.subjects.loading import load_subject
from probes.worlds.terrain import HARDEST, LOW_SCALE, TALLEST, heights, mean_slope

LIVE, DEAD = ("down_blocks.2", "up_blocks.1"), ("down_blocks.4", "mid_block", "up_blocks.0")
PUBLISHED = json.loads((Path(__file__).parents[1] / "fixtures" / "terrain.json").read_text(encoding="utf-8"))


@cache
def terrain() -> ImageDiffusion:
    return load_subject("bundled/terrain", of=ImageDiffusion)


def inputs(difficulties: list[float], seeds: tuple[int, ...]) -> ImageInputs:
    labels = HARDEST * torch.tensor(difficulties, dtype=torch.float32)
    return ImageInputs(steps=1, seeds=seeds, extra={"class_labels": labels})


def slopes(difficulty: float, seeds: tuple[int, ...], edits: tuple[Edit, ...] = ()) -> NDArray[np.float64]:
    with hooked(terrain(), write=edits):
        return mean_slope(terrain().generate(inputs([difficulty] * len(seeds), seeds)).images.numpy())


def test_heights_and_slopes_of_a_ramp() -> None:
    ramp = np.linspace(0, 10, 11)
    pixels = np.arcsinh(np.tile(ramp, (11, 1)) / LOW_SCALE) / np.arcsinh(TALLEST / LOW_SCALE)
    ground = heights(pixels[None, None])
    assert np.allclose(ground[0], np.tile(ramp, (11, 1)))
    assert mean_slope(pixels[None, None]) == pytest.approx(0.5)  # 1 across, 0 down
    assert heights(np.ones((1, 1, 2, 2))) == pytest.approx(TALLEST)


def test_half_precision_weights_draw_what_the_published_model_draws() -> None:
    labels = torch.tensor(PUBLISHED["labels"])
    made = terrain().generate(ImageInputs(steps=1, seeds=(0, 1, 2), extra={"class_labels": labels})).images.numpy()
    expected = np.array(PUBLISHED["cells"])
    assert expected.std() > 0.1
    assert np.abs(made[:, 0, ::32, ::32] - expected).max() < 5e-3
    assert np.allclose(mean_slope(made), PUBLISHED["slopes"], rtol=0.03)


def test_mean_slope_rises_with_difficulty() -> None:
    steep = [slopes(difficulty, (0, 1, 2)).mean() for difficulty in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert all(low < high for low, high in pairwise(steep)), steep
    assert steep[-1] > 3 * steep[0]


def test_a_whole_number_stands_for_the_same_difficulty() -> None:
    plain = terrain().generate(ImageInputs(steps=1, seeds=(4,), extra={"class_labels": [50]})).images
    exact = terrain().generate(ImageInputs(steps=1, seeds=(4,), extra={"class_labels": torch.tensor([50.0])})).images
    assert torch.equal(plain, exact)


def test_several_steps_have_a_falling_noise_from_one() -> None:
    point = HookPoint(path="mid_block")
    given = ImageInputs(steps=4, seeds=(0,), extra={"class_labels": [50]})
    found = terrain().activations(given, {point: lambda x, where: where.noise})[point]
    assert found[0] == 1.0
    assert all(0 < late < early for early, late in pairwise(found)), found


@cache
def differences(seeds: tuple[int, ...]) -> dict[str, Tensor]:
    """Per site the mean activation at the hardest minus at the easiest, `d`, over pictures that nobody steers."""

    def means(difficulty: float) -> list[Tensor]:
        readers = {HookPoint(path=path): lambda x, where: x.float().mean(dim=(0, 1)) for path in (*LIVE, *DEAD)}
        found = terrain().activations(inputs([difficulty] * len(seeds), seeds), readers)
        return [found[point][0] for point in readers]

    return {path: high - low for path, high, low in zip((*LIVE, *DEAD), means(1.0), means(0.0), strict=True)}


def lever(path: str, vector: Tensor, strength: float) -> Edit:
    def change(x: Tensor, where: Where) -> Tensor:
        return (strength * vector).expand_as(x)

    return Edit(HookPoint(path=path), Selector(), change)


def both_ways(path: str, vector: Tensor, seeds: tuple[int, ...]) -> tuple[float, float]:
    """Mean slope at strengths −1 and 1, asked for a difficulty of one half."""
    down, up = (float(slopes(0.5, seeds, (lever(path, vector, strength),)).mean()) for strength in (-1.0, 1.0))
    return down, up


def reach(plain: float, down: float, up: float) -> float:
    """How far a lever moves the slope in the way in which it moves it less: negative where it moves one way only."""
    return min(plain - down, up - plain)


def random_directions(vector: Tensor, count: int) -> list[Tensor]:
    drawn = [torch.randn(vector.shape, generator=torch.Generator().manual_seed(seed)) for seed in range(count)]
    return [direction / direction.norm() * vector.norm() for direction in drawn]


def check_levers(seeds: tuple[int, ...], others: tuple[int, ...], controls: int) -> None:
    plain = float(slopes(0.5, seeds).mean())
    for path in LIVE:
        vector = differences(others)[path]
        chosen = reach(plain, *both_ways(path, vector, seeds))
        random = []
        for direction in random_directions(vector, controls):
            low, high = both_ways(path, direction, seeds)
            random.append(max(reach(plain, low, high), reach(plain, high, low)))  # a random sign means nothing
        assert chosen > 0.15 * plain, (path, chosen, plain)
        assert chosen > 1.5 * max(random), (path, chosen, random)
    for path in DEAD:
        down, up = both_ways(path, differences(others)[path], seeds)
        assert max(abs(down - plain), abs(up - plain)) < 0.1 * plain, (path, down, up, plain)


def test_difficulty_is_a_lever_both_ways_where_it_lives_and_none_elsewhere() -> None:
    check_levers(seeds=(0, 1), others=(10, 11), controls=1)


@pytest.mark.slow
def test_the_lever_beats_several_random_directions_over_more_pictures() -> None:
    check_levers(seeds=tuple(range(6)), others=tuple(range(10, 16)), controls=4)


def test_a_lever_of_strength_zero_changes_no_bit() -> None:
    plain = slopes(0.5, (0,))
    for path in (LIVE[1], DEAD[1]):
        assert np.array_equal(slopes(0.5, (0,), (lever(path, differences((10, 11))[path], 0.0),)), plain)
