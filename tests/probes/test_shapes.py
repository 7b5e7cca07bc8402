"""The world of shapes: the oracles against what was drawn, whatever is done to the picture besides."""

from __future__ import annotations

import numpy as np
import pytest

from probes.worlds.shape_oracles import collateral, look
from probes.worlds.shapes import BACKGROUND, COLOURS, SIZE, Thing, every_thing, footprint, render

THINGS = every_thing()


def test_every_drawn_picture_is_read_exactly() -> None:
    seen = look(render(THINGS))
    assert len(set(THINGS)) == 36
    assert seen.shows(THINGS).all()
    assert seen.off_manifold.max() < 1e-6


def test_noise_and_dimming_change_no_reading_but_show_in_the_residual() -> None:
    random = np.random.default_rng(0)
    drawn = render(THINGS)
    dim = BACKGROUND + 0.6 * (drawn - BACKGROUND)
    noisy = (dim + random.normal(scale=0.05, size=drawn.shape)).astype(np.float32)
    seen = look(noisy)
    assert seen.shows(THINGS).all()
    assert seen.off_manifold.min() > 0.03


@pytest.mark.parametrize("colour", range(len(COLOURS)))
def test_repainting_a_thing_changes_its_colour_alone(colour: int) -> None:
    repainted = [thing._replace(colour=colour) for thing in THINGS]
    seen = look(render(repainted))
    assert (seen.colour == colour).all()
    assert (seen.shape == [thing.shape for thing in THINGS]).all()
    assert collateral(render(repainted), render(THINGS), THINGS).max() == 0


def test_collateral_counts_what_lies_outside_the_thing_and_nothing_else() -> None:
    plain = render(THINGS)
    inside, outside = plain.copy(), plain.copy()
    for at, thing in enumerate(THINGS):
        cells = footprint(thing.shape, thing.position)
        inside[at][:, cells] = 0.5
        outside[at][:, ~cells] += 0.25
    assert collateral(inside, plain, THINGS).max() == 0
    assert np.allclose(collateral(outside, plain, THINGS), 0.25)


def test_the_residual_is_the_distance_to_the_nearest_picture() -> None:
    drawn = render([Thing(0, 0, 0)])
    moved = drawn.copy()
    moved[0, 0, -1, -1] += 0.3  # one channel of one cell of an empty corner
    assert look(moved).off_manifold[0] == pytest.approx(0.3 / np.sqrt(3 * SIZE * SIZE), rel=1e-5)


def test_a_flat_picture_is_read_as_something_far_from_everything() -> None:
    seen = look(np.full((1, 3, SIZE, SIZE), 0.5, dtype=np.float32))
    assert seen.off_manifold[0] > 0.2


def test_prompts_name_all_three_factors() -> None:
    assert Thing(2, 1, 0).prompt == "blue cross upper left"
    assert len({thing.prompt for thing in THINGS}) == 36
