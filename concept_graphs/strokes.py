"""What every layered picture draws with: S-shaped lines, the band behind a storey, numbers short enough to send."""

from __future__ import annotations

from typing import Any

import numpy as np

CURVE = np.linspace(0, 1, 8)  # a spline through these points looks like a drawn S


def s_lines(start: np.ndarray, end: np.ndarray, t: np.ndarray, *, sideways: bool = False) -> dict[str, Any]:
    """Points of S-shaped lines from `start` to `end`, each `line 2`, with `t` in [0, 1] along the way: up, or
    `sideways`. A gap follows each line."""
    ease = t * t * (3 - 2 * t)
    across, up = (t, ease) if sideways else (ease, t)
    away = end - start
    return {
        "x": _joined(start[:, :1] + away[:, :1] * across),
        "y": _joined(start[:, 1:] + away[:, 1:] * up),
    }


def band(low: float, high: float) -> dict[str, Any]:
    """The faint band of a storey, from one y to another, as a plotly shape."""
    return {
        "type": "rect", "xref": "paper", "yref": "y", "layer": "below", "line": {"width": 0},
        "x0": 0, "x1": 1, "y0": low, "y1": high, "fillcolor": "rgba(128,132,140,0.07)",
    }  # fmt: skip


def rounded(values: np.ndarray, digits: int = 4) -> list[float]:
    """Values with so many digits behind the point."""
    return [float(v) for v in np.asarray(values).round(digits)]


def _joined(points: np.ndarray) -> list[float | None]:
    """`line point` flattened, with a gap after each line."""
    return [v for line in points.round(4).tolist() for v in (*line, None)]
