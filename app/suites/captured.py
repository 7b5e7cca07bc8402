"""The activations a suite measures on: captured once, kept for the next time."""

from __future__ import annotations

from typing import Any

from probes.activations.capture import CaptureConfig
from probes.activations.registry import CAPTURES
from probes.activations.store import ActivationStore
from probes.activations.trajectories import ImageCaptureConfig
from probes.artefacts import MANIFEST, artefact_path
from probes.errors import Stopped
from probes.runs import Run


def captured(config: CaptureConfig, run: Run) -> ActivationStore:
    """The store of text of that name, captured now where it is not there. Raises `Stopped` when asked to stop."""
    return _made("text_autoregressive", config, "encoding text", run)


def captured_images(config: ImageCaptureConfig, run: Run) -> ActivationStore:
    """The same of pictures."""
    return _made("image_diffusion", config, "drawing pictures and reading activations", run)


def _made(kind: str, config: Any, message: str, run: Run) -> ActivationStore:
    path = artefact_path("store", config.name)
    if not (path / MANIFEST).is_file():
        run.update(message=message)
        if CAPTURES.load(kind).work(config, run) is None:
            raise Stopped
    return ActivationStore(path)
