"""The button that keeps what a part of the Steer page shows for the report."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.events import QUIET
from app.pins import pin


class PinButton:
    """A button and the sentence beside it, made where it is constructed."""

    def __init__(self, prefix: str) -> None:
        self.button = gr.Button("Pin to report", size="sm", elem_classes="fc-narrow", elem_id=f"{prefix}-pin")
        self.said = gr.Markdown("", elem_id=f"{prefix}-said")

    def wire(self, last: Any) -> None:
        """Pin what the state `last` holds: the JSON of a comparison, or None."""
        self.button.click(pinned, inputs=last, outputs=self.said, **QUIET)


def pinned(last: Any) -> str:
    """Pin the last comparison for the report, and say so."""
    if not isinstance(last, dict):
        return "Nothing to pin yet: press Generate first."
    return f"Pinned as {pin(last)}; choose it on the Report page."
