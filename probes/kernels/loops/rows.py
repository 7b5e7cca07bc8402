"""What is done to each row of a matrix by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from probes.kernels.loops.compiling import Array, loop


@loop
def remove_along(grad: Array, rows: Array, low: int, high: int) -> None:
    """grad[i] -= (grad[i] · rows[i]) rows[i]."""
    for i in range(low, high):
        g, row, along = grad[i], rows[i], np.float32(0)
        for j in range(len(row)):
            along += g[j] * row[j]
        for j in range(len(row)):
            g[j] -= along * row[j]


@loop
def normalise(rows: Array, low: int, high: int, epsilon: Any) -> None:
    """rows[i] /= ‖rows[i]‖ + epsilon."""
    for i in range(low, high):
        row, square = rows[i], np.float32(0)
        for j in range(len(row)):
            square += row[j] * row[j]
        inverse = np.float32(1) / (np.sqrt(square) + epsilon)
        for j in range(len(row)):
            row[j] *= inverse
