"""The activations a suite measures on: captured once, kept for the next time."""

from __future__ import annotations

from probes.activations import capture
from probes.activations.capture import CaptureConfig
from probes.activations.store import ActivationStore
from probes.artefacts import MANIFEST, artefact_path
from probes.errors import Stopped
from probes.runs import Run


def captured(config: CaptureConfig, run: Run) -> ActivationStore:
    """The store of that name, captured now where it is not there. Raises `Stopped` when asked to stop."""
    path = artefact_path("store", config.name)
    if not (path / MANIFEST).is_file():
        run.update(message="encoding text")
        if capture.work(config, run) is None:
            raise Stopped
    return ActivationStore(path)
