"""A drop-down whose offer changes while the page is open."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.components.base import WithoutStub


class Menu(gr.Dropdown, metaclass=WithoutStub):
    """Hands on what was chosen even where it is offered no longer: the handler says what there is instead.

    A `gr.Dropdown` compares a question with the offer that it answered last. Whoever asks before a browser has drawn
    that answer would be refused for what the page still shows.
    """

    def get_block_name(self) -> str:
        """The component that draws it."""
        return "dropdown"

    def preprocess(self, payload: Any) -> Any:
        """The value that the handler gets; one that no menu can have is refused as a drop-down would."""
        chosen = payload if self.multiselect and isinstance(payload, list) else [payload]
        if all(one is None or isinstance(one, str | int | float) for one in chosen):
            return payload
        return super().preprocess(payload)
