"""The noise interval levers act in, on a line of previews from pure noise to the finished picture."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from app.components.base import Drawn
from probes.addresses import Unit
from probes.configs import Frozen, validated


class NoiseInterval(Frozen):
    """What the timeline holds."""

    own: bool = Field(default=True, description="Whether levers act at the noise of their own level.")
    low: Unit = Field(default=0.0, description="The end near the finished picture.")
    high: Unit = Field(default=1.0, description="The end near pure noise.")


class NoiseTimeline(Drawn):
    """Value: a `NoiseInterval` as JSON. Props: `previews` (`{noise, picture}`, in any order), `steps` (the noise
    of each step, for marks), `level` (the interval of the levers' level, null where they have several). Pure noise
    is drawn at the left. Event: `change`."""

    source: ClassVar[str] = "noise_timeline"

    def __init__(self, value: Any = None, **props: Any) -> None:
        props = {"previews": [], "steps": [], "level": None, **props}
        super().__init__(value or NoiseInterval().model_dump(), **props)


def interval_chosen(value: Any) -> tuple[float, float] | None:
    """(low, high), or None for the levels' own. Raises `WorkbenchError` for ends outside 0 to 1."""
    found = validated(NoiseInterval, value or {}, what="The noise interval")
    return None if found.own else (min(found.low, found.high), max(found.low, found.high))


def interval_shown(noise: tuple[float, float] | None) -> dict[str, Any]:
    """The value of a timeline that shows an interval."""
    return NoiseInterval(own=noise is None, low=(noise or (0, 1))[0], high=(noise or (0, 1))[1]).model_dump()
