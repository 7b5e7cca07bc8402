"""A world of pictures: one coloured shape in one quarter of a small dark square, drawn exactly.

Colour, shape and position are independent, so what a lever does to one of them and to the others can be read
off a picture without a model (`probes.worlds.shape_oracles`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np

from probes.worlds.world import Array, Flags

SIZE = 16
MARGIN = 1  # of a shape to the sides of its quarter
BACKGROUND = 0.1
COLOURS = {"red": (0.9, 0.2, 0.15), "green": (0.2, 0.8, 0.25), "blue": (0.25, 0.35, 0.95)}
SHAPES = {
    "square": ("......", ".####.", ".####.", ".####.", ".####.", "......"),
    "cross": ("..##..", "..##..", "######", "######", "..##..", "..##.."),
    "triangle": ("..##..", "..##..", ".####.", ".####.", "######", "######"),
}
POSITIONS = {"upper left": (0, 0), "upper right": (0, 1), "lower left": (1, 0), "lower right": (1, 1)}


class Thing(NamedTuple):
    """What a picture shows: places in `COLOURS`, `SHAPES` and `POSITIONS`."""

    colour: int
    shape: int
    position: int

    @property
    def prompt(self) -> str:
        """The words for it, such as `red cross upper left`."""
        names = tuple(COLOURS)[self.colour], tuple(SHAPES)[self.shape], tuple(POSITIONS)[self.position]
        return " ".join(names)


@cache
def every_thing() -> tuple[Thing, ...]:
    """All 36, colour by colour; within a colour shape by shape."""
    return tuple(Thing(*at) for at in product(range(len(COLOURS)), range(len(SHAPES)), range(len(POSITIONS))))


def footprint(shape: int, position: int) -> Flags:
    """The cells that a shape covers, `height width` bool."""
    drawn = np.pad([[cell == "#" for cell in row] for row in tuple(SHAPES.values())[shape]], MARGIN)
    half = SIZE // 2
    down, across = tuple(POSITIONS.values())[position]
    cells = np.zeros((SIZE, SIZE), dtype=np.bool_)
    cells[half * down : half * (down + 1), half * across : half * (across + 1)] = drawn
    return cells


def render(things: Sequence[Thing]) -> Array:
    """The exact pictures, `thing 3 height width` in [0, 1]."""
    palette = np.array(list(COLOURS.values()), dtype=np.float32)
    pictures = np.full((len(things), 3, SIZE, SIZE), BACKGROUND, dtype=np.float32)
    for at, thing in enumerate(things):
        pictures[at][:, footprint(thing.shape, thing.position)] = palette[thing.colour][:, None]
    return pictures
