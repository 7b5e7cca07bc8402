"""Where a run is in its trajectory, told by its scheduler and never by counting calls.

PNDM calls the denoiser once more than it has steps, Heun and KDPM2 nearly twice per step, and several
schedulers do not say at which step they are before the first one is done.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple


class Moment(NamedTuple):
    """`position` is the place in the scheduler's list of timesteps, `step` counts whole steps from 0, `noise`
    is 1 for pure noise and 0 for finished; both calls of a second-order step are one moment."""

    position: int
    step: int
    noise: float


class Clock:
    """Reads the moment of each denoiser call off a scheduler; positions never go back."""

    def __init__(self) -> None:
        self._position = 0

    def read(self, scheduler: Any, t: float | None) -> Moment:
        """The moment of a call that was given timestep `t` (in the scheduler's unit or as a share)."""
        timesteps = scheduler.timesteps.tolist()
        found = getattr(scheduler, "step_index", None)
        if found is None:
            found = self._nearest(scheduler, timesteps, t)
        self._position = min(int(found), len(timesteps) - 1)
        order = int(getattr(scheduler, "order", 1))
        if order > 1:
            whole = self._position // order
            return Moment(self._position, whole, noise_at(scheduler, whole * order))
        repeats = self._position + 1 - len(set(timesteps[: self._position + 1]))
        return Moment(self._position, self._position - repeats, noise_at(scheduler, self._position))

    def _nearest(self, scheduler: Any, timesteps: list[float], t: float | None) -> int:
        """The position from the last one on whose timestep is nearest; flow models are given t/T."""
        if t is None:
            return self._position
        scales = (t, t * _training_steps(scheduler))
        ahead = range(self._position, len(timesteps))
        return min(ahead, key=lambda at: min(abs(timesteps[at] - scaled) for scaled in scales))


def whole_steps(scheduler: Any) -> int:
    """How many whole steps the schedule has."""
    order = int(getattr(scheduler, "order", 1))
    timesteps = scheduler.timesteps.tolist()
    return -(-len(timesteps) // order) if order > 1 else len(set(timesteps))


def noise_at(scheduler: Any, position: int) -> float:
    """Noise left at a position: t/T; where timesteps are no training steps, the share of its log sigmas."""
    if _counts_in_sigmas(scheduler):
        sigmas = [math.log(sigma) for sigma in scheduler.sigmas.tolist() if sigma > 0]
        span = max(sigmas) - min(sigmas)
        return (sigmas[min(position, len(sigmas) - 1)] - min(sigmas)) / span if span else 1.0
    return min(1.0, max(0.0, float(scheduler.timesteps[position]) / _training_steps(scheduler)))


def _counts_in_sigmas(scheduler: Any) -> bool:
    beyond = float(scheduler.timesteps[0]) > _training_steps(scheduler)  # consistency models: 250 ln(sigma)
    return beyond or hasattr(scheduler, "precondition_noise") or scheduler.config.get("timestep_type") == "continuous"


def _training_steps(scheduler: Any) -> int:
    return int(scheduler.config.get("num_train_timesteps") or 1000)
