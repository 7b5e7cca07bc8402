"""What a picture of the world of shapes shows, read by exact rules and no model.

Shape and position come from the template of the twelve that fits the picture's brightness best, whatever its
colour; the colour is the palette entry nearest to the mean inside that template.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes.worlds.shapes import BACKGROUND, COLOURS, POSITIONS, SHAPES, Thing, every_thing, footprint, render
from probes.worlds.world import Array, Flags

Numbers = NDArray[np.int64]


class Seen(NamedTuple):
    """What pictures show. `colour`, `shape`, `position`: `picture`, places in the world's tables;
    `off_manifold`: `picture`, root mean square distance to the nearest picture the world can draw."""

    colour: Numbers
    shape: Numbers
    position: Numbers
    off_manifold: NDArray[np.float64]

    def shows(self, things: Sequence[Thing]) -> Flags:
        """Whether all three factors are as asked for, `picture`."""
        wanted = np.array(things)
        return np.asarray((np.stack([self.colour, self.shape, self.position], axis=1) == wanted).all(axis=1))


def look(images: Array) -> Seen:
    """Read pictures, `picture 3 height width` in [0, 1]."""
    exact: NDArray[np.float64] = np.asarray(images, dtype=np.float64)
    lit = np.abs(exact - BACKGROUND).max(axis=1).reshape(len(exact), -1)
    templates = _templates()
    flat = templates.reshape(len(templates), -1).astype(np.float64)
    fit = _standardised(lit) @ _standardised(flat).T
    best = fit.argmax(axis=1)
    inside = flat[best]
    mean = np.einsum("pci,pi->pc", exact.reshape(len(exact), 3, -1), inside) / inside.sum(axis=1, keepdims=True)
    palette = np.array(list(COLOURS.values()))
    colour = np.square(mean[:, None] - palette).sum(axis=2).argmin(axis=1)
    return Seen(colour, best // len(POSITIONS), best % len(POSITIONS), _distance(exact).min(axis=1))


def collateral(images: Array, before: Array, things: Sequence[Thing]) -> NDArray[np.float64]:
    """How much pictures changed outside their things, `picture`: root mean square over cells and channels."""
    outside = np.stack([~footprint(thing.shape, thing.position) for thing in things])
    squared = np.square(np.asarray(images, dtype=np.float64) - before).mean(axis=1)
    return np.asarray(np.sqrt((squared * outside).sum(axis=(1, 2)) / outside.sum(axis=(1, 2))))


@cache
def _templates() -> Flags:
    """`template height width`, shape by shape, within a shape position by position."""
    return np.stack([footprint(shape, place) for shape in range(len(SHAPES)) for place in range(len(POSITIONS))])


def _standardised(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows less their mean, of norm one; a flat row stays zero and fits every template alike."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.where(norm > 1e-12, norm, 1.0))


def _distance(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean square distance of each picture to each one the world can draw, `picture thing`."""
    drawn = render(every_thing()).astype(np.float64).reshape(len(every_thing()), -1)
    rows = images.reshape(len(images), -1)
    squared = np.square(rows).sum(axis=1)[:, None] - 2 * rows @ drawn.T + np.square(drawn).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(squared, 0) / rows.shape[1]))
