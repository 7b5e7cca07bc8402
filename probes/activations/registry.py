"""The kinds of capture, one per kind of subject; the subject that is named decides which one is meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from probes.registry import Registry
from probes.runs import Run


@dataclass(frozen=True)
class Capture:
    """A capture: its config, and what does it in a run (None where it was asked to stop)."""

    Config: type[BaseModel]
    work: Callable[[Any, Run], Path | None]


CAPTURES = Registry(
    "kind of capture",
    {
        "text_autoregressive": (
            "probes.activations.capture:CAPTURE",
            "Chunks of a text corpus through a language model.",
        ),
        "image_diffusion": ("probes.activations.capture_images:CAPTURE", "Trajectories of an image pipeline."),
    },
)


def capture_of(values: Mapping[str, Any]) -> str:
    """The row for the subject a config names: that of its kind, else the first. Opens nothing."""
    from probes.subjects.loading import kind_of

    kind = kind_of(str(values["subject"]), offline=bool(values.get("offline", True)))
    return kind if kind in CAPTURES else CAPTURES.first
