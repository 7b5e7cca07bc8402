"""Where a decoder's bias starts."""

from __future__ import annotations

from torch import Tensor


def geometric_median(rows: Tensor, steps: int = 32) -> Tensor:
    """The point with the smallest summed distance to rows `row d` (Weiszfeld, distances floored)."""
    guess = rows.mean(dim=0)
    for _ in range(steps):
        weight = 1 / (rows - guess).norm(dim=1).clamp_min(1e-6)
        guess = (rows * weight[:, None]).sum(dim=0) / weight.sum()
    return guess
