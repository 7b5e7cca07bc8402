"""Another picture of the same room: other brightness and contrast, a little noise, and a pixel to some side."""

from __future__ import annotations

from itertools import product

import numpy as np

from probes.worlds.ball_room.painting import CHUNK, Bytes, Real, as_bytes

BRIGHTNESS = 0.1  # most that is added, of the full range
CONTRAST = 0.25  # most by which distances to middle grey grow or shrink
GRAIN = 0.02  # standard deviation of the noise
STEPS = (-1, 0, 1)  # pixels a picture moves, down and to the right; its edge is repeated


def augment(pictures: Bytes, random: np.random.Generator) -> Bytes:
    """Pictures `row 3 height width`, each changed in its own way."""
    return np.concatenate([_chunk(pictures[at : at + CHUNK], random) for at in range(0, len(pictures), CHUNK)])


def _chunk(pictures: Bytes, random: np.random.Generator) -> Bytes:
    alone = (len(pictures), 1, 1, 1)
    brightness = random.uniform(-BRIGHTNESS, BRIGHTNESS, alone).astype(np.float32)
    contrast = random.uniform(1 - CONTRAST, 1 + CONTRAST, alone).astype(np.float32)
    shifted = _shifted(pictures.astype(np.float32) / 255, random)
    grain = GRAIN * random.standard_normal(shifted.shape, dtype=np.float32)
    return as_bytes(0.5 + brightness + contrast * (shifted - 0.5) + grain)


def _shifted(pictures: Real, random: np.random.Generator) -> Real:
    height, width = pictures.shape[2:]
    padded = np.pad(pictures, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    moves = list(product(STEPS, STEPS))
    which = random.integers(len(moves), size=len(pictures))
    moved = np.empty_like(pictures)
    for at, (down, right) in enumerate(moves):
        moved[which == at] = padded[which == at, :, 1 - down : 1 - down + height, 1 - right : 1 - right + width]
    return moved
