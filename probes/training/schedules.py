"""Schedules: pure functions from step to a factor."""

from __future__ import annotations

import math

from probes.training.objective import Schedule

COSINE_END = 0.1


def constant(weight: float) -> Schedule:
    return lambda step: weight


def ramp(weight: float, start: int, length: int) -> Schedule:
    """0 until `start`, then linear to `weight` over `length` steps; of no length, `weight` from `start` on."""
    if length == 0:
        return lambda step: weight if step >= start else 0.0
    return lambda step: weight * max(0.0, min(1.0, (step - start) / length))


def warm_up_hold_decay(steps: int, warm_up: float, decay: float) -> Schedule:
    """Linear from 0 over the first `warm_up` share of steps, 1, then linear to 0 over the last `decay`."""
    rising, falling = max(1, round(steps * warm_up)), max(1, round(steps * decay))

    def factor(step: int) -> float:
        return max(0.0, min(1.0, (step + 1) / rising, (steps - step) / falling))

    return factor


def warm_up_hold_cosine(steps: int, warm_up: float, decay: float) -> Schedule:
    """The same rise, then half a cosine over the last `decay` share, down to a tenth at the last step.

    With `decay` 1 the whole of what follows the warm-up lies on the cosine of the whole training.
    """
    rising, falling = max(1, round(steps * warm_up)), max(1, round(steps * decay))

    def factor(step: int) -> float:
        gone = max(0.0, min(1.0, (step + 1 - (steps - falling)) / falling))
        return min((step + 1) / rising, COSINE_END + (1 - COSINE_END) * (1 + math.cos(math.pi * gone)) / 2)

    return factor


def warm_up_hold(steps: int, warm_up: float, decay: float) -> Schedule:
    """The same rise, then 1 to the end; there is no decay."""
    rising = max(1, round(steps * warm_up))
    return lambda step: min(1.0, (step + 1) / rising)
