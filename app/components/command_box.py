"""A command line to read and copy, at most so many lines high: a long one scrolls in its own box."""

from __future__ import annotations

import gradio as gr

MOST_LINES = 8


def command_box(value: str = "", *, elem_id: str, label: str = "The same from the command line") -> gr.Code:
    """The box, made where it is called inside a `gr.Blocks`."""
    return gr.Code(
        value,
        language="shell",
        label=label,
        lines=1,
        max_lines=MOST_LINES,
        wrap_lines=True,
        interactive=False,
        elem_id=elem_id,
    )
