"""Directions that tell a label from activations: logistic probes, said in the activations' own space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

INVERSE_STRENGTH = 0.01  # activations of some hundred dimensions, standardised, from some hundred examples
Floats = NDArray[np.float64]


def fitted_direction(
    x: NDArray[np.floating], y: NDArray[np.bool_], inverse_strength: float = INVERSE_STRENGTH
) -> tuple[Floats, float]:
    """(direction `d`, offset): x · direction + offset > 0 says yes. Classes count alike; the fit is on
    standardised activations `row d`, the result is in theirs."""
    mean, spread = x.mean(axis=0, dtype=np.float64), np.maximum(x.std(axis=0, dtype=np.float64), 1e-8)
    model = LogisticRegression(C=inverse_strength, class_weight="balanced", max_iter=500)
    model.fit((x - mean) / spread, y)
    direction = model.coef_[0].astype(np.float64) / spread
    return direction, float(model.intercept_[0] - mean @ direction)


def right(x: NDArray[np.floating], y: NDArray[np.bool_], probe: tuple[Floats, float]) -> Floats:
    """1 where the probe is right about a row, else 0, `row`."""
    return np.asarray((x @ probe[0] + probe[1] > 0) == y, dtype=np.float64)
