"""Schedules: pure functions from step to a factor."""

from __future__ import annotations

from probes.training.objective import Schedule


def constant(weight: float) -> Schedule:
    return lambda step: weight


def warm_up_hold_decay(steps: int, warm_up: float, decay: float) -> Schedule:
    """Linear from 0 over the first `warm_up` share of steps, 1, then linear to 0 over the last `decay`."""
    rising, falling = max(1, round(steps * warm_up)), max(1, round(steps * decay))

    def factor(step: int) -> float:
        return max(0.0, min(1.0, (step + 1) / rising, (steps - step) / falling))

    return factor


def ramp(weight: float, start: int, length: int) -> Schedule:
    """0 until `start`, then linear to `weight` over `length` steps."""
    return lambda step: weight * max(0.0, min(1.0, (step - start) / max(1, length)))
