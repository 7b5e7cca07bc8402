"""Pictures of the room, drawn exactly: shapes by their signed distance, edges by how much of a pixel they cover.

Places are in parts of the picture's side, (0, 0) upper left. The ball hangs before the box, and the shadow falls in
front of both, so that nothing hides all of anything: the box is too large for the ball.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from probes.worlds.ball_room.graph import NAMES
from probes.worlds.world import Array

Bytes = NDArray[np.uint8]
Real = NDArray[np.floating[Any]]

WALL = (0.62, 0.68, 0.76)
FLOOR = (0.72, 0.66, 0.56)
BOX = (0.42, 0.22, 0.46)  # no colour of the ball
HORIZON = 0.5
LIT = 0.3  # how much brighter or darker than its middle the floor's sides are in full light
BOX_X, BOX_Y, BOX_HALF = (0.5, 0.32), 0.62, (0.16, 0.2)  # where a pair: the middle, and how far the factor moves it
BALL_X, BALL_Y, RADIUS = (0.5, 0.24), (0.47, -0.17), (0.16, 0.045)
DEGREES = (120.0, 120.0)  # of hue: red over green to blue
PALEST, BRIGHTEST = 0.1, 0.95  # of a channel of the ball
STRIPES, DARK = (2.0, 1.0), 0.7  # dark stripes across the ball, and how dark they are
SHADOW_X, SHADOW_Y, SHADOW_HALF, SHADE = 0.2, 0.92, (0.11, 0.05), 0.65
CHUNK = 32  # pictures at a time: they stay in the processor's cache


def paint(factors: Array, size: int) -> Array:
    """`row 3 size size` in [0, 1], of factors `row factor`."""
    at = dict(zip(NAMES, np.asarray(factors, dtype=np.float32).T[:, :, None, None], strict=True))
    centres = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = centres[None, None, :], centres[None, :, None]
    ball_x, radius = _placed(BALL_X, at["ball x"]), _placed(RADIUS, at["ball size"])
    across, down = x - ball_x, y - _placed(BALL_Y, at["ball height"])
    floor, light = _covered(HORIZON - y, size), 1 + LIT * at["light"] * (2 * x - 1)
    box = _covered(np.abs(x - _placed(BOX_X, at["box x"])) - BOX_HALF[0], size)
    box = box * _covered(np.abs(y - BOX_Y) - BOX_HALF[1], size)
    shadow = _ellipse(x - ball_x - SHADOW_X * at["shadow offset"], y - SHADOW_Y, size)
    ball = _covered(np.sqrt(across**2 + down**2) - radius, size)
    stripes = np.sin(np.pi * _placed(STRIPES, at["stripe frequency"]) * across / radius)
    shading = 1 - DARK / 2 * (1 + stripes)
    light = light * (1 - SHADE * shadow)
    picture = np.empty((len(factors), 3, size, size), dtype=np.float32)
    for channel, hue in enumerate(_hue(_placed(DEGREES, at["ball hue"]))):
        seen = WALL[channel] + floor * (FLOOR[channel] * light - WALL[channel])
        seen += box * (BOX[channel] - seen)
        seen += ball * (hue * shading - seen)
        picture[:, channel] = seen
    return picture


def pictures(factors: Array, size: int, noise: float = 0.0, random: np.random.Generator | None = None) -> Bytes:
    """The same as bytes, with Gaussian noise of this deviation where a generator is given."""
    found = np.empty((len(factors), 3, size, size), dtype=np.uint8)
    for at in range(0, len(factors), CHUNK):
        painted = paint(factors[at : at + CHUNK], size)
        if random is not None and noise:
            painted += noise * random.standard_normal(painted.shape, dtype=np.float32)
        found[at : at + CHUNK] = as_bytes(painted)
    return found


def as_bytes(picture: Real) -> Bytes:
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def _placed(place: tuple[float, float], factor: Real) -> Real:
    middle, reach = place
    return middle + reach * factor


def _covered(distance: Real, size: int) -> Real:
    """How much of a pixel lies inside an edge this far away; negative distances are inside."""
    return np.clip(0.5 - distance * size, 0, 1)


def _ellipse(across: Real, down: Real, size: int) -> Real:
    """Coverage by the shadow: near its edge the distance is the level over its slope."""
    wide, high = SHADOW_HALF
    level = np.sqrt((across / wide) ** 2 + (down / high) ** 2)
    slope = np.sqrt((across / wide**2) ** 2 + (down / high**2) ** 2) / np.maximum(level, 1e-6)
    return _covered((level - 1) / np.maximum(slope, 1e-6), size)


def _hue(degrees: Real) -> list[Real]:
    """Red, green and blue of a full colour of this hue, 0 to 240 degrees."""
    turn = degrees / 60
    channels = (2 - turn, 2 - np.abs(turn - 2), 2 - np.abs(turn - 4))
    return [PALEST + (BRIGHTEST - PALEST) * np.clip(channel, 0, 1) for channel in channels]
