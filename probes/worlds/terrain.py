"""What the terrain model's pictures mean: heights, and how steep they are. Steepness needs no label and no judge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TALLEST = 22.16864  # of the model's heights, in its own unit
LOW_SCALE = 0.1  # below this height the picture is linear in it, above it logarithmic
HARDEST = 99  # class label of difficulty 1; label 0 is difficulty 0


def heights(images: NDArray[np.floating]) -> NDArray[np.float64]:
    """Heights `picture height width` of pictures v `picture 1 height width` in [0, 1]: 0.1 sinh(v asinh(221.7))."""
    brightness = np.asarray(images, dtype=np.float64)[:, 0]
    return np.asarray(LOW_SCALE * np.sinh(brightness * np.arcsinh(TALLEST / LOW_SCALE)))


def mean_slope(images: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean |difference of height| of neighbouring cells, over both directions, `picture`."""
    ground = heights(images)
    down, across = (np.abs(np.diff(ground, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2))
    return np.asarray((down + across) / 2)
