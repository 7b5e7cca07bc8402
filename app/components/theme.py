"""The theme: system fonts, calm greys, one accent; the rest is in `web/fulcrum.css`."""

from __future__ import annotations

import gradio as gr

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def theme() -> gr.themes.Base:
    """Fonts come from the system, so that no page asks for one."""
    return gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        font=SANS,
        font_mono=MONO,
        text_size="sm",
        spacing_size="sm",
        radius_size="sm",
    )
