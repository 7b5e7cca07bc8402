"""The theme: system fonts, calm greys, one accent, no boxes in boxes; the rest is in `web/fulcrum.css`."""

from __future__ import annotations

import gradio as gr

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
# The colours are the variables of `fulcrum.css`, which follow the page between light and dark.
COLOURS = {
    "body_background_fill": "var(--fc-paper)",
    "body_text_color": "var(--fc-ink)",
    "body_text_color_subdued": "var(--fc-soft)",
    "block_title_text_color": "var(--fc-soft)",
    "block_label_text_color": "var(--fc-soft)",
    "block_info_text_color": "var(--fc-soft)",
    "block_background_fill": "transparent",
    "border_color_primary": "var(--fc-line)",
    "input_background_fill": "var(--fc-panel)",
    "input_background_fill_focus": "var(--fc-panel)",
    "input_border_color": "var(--fc-line)",
    "input_border_color_focus": "var(--fc-accent)",
    "checkbox_label_background_fill": "var(--fc-panel)",
    "checkbox_label_background_fill_selected": "var(--fc-accent-soft)",
    "checkbox_label_border_color": "var(--fc-line)",
    "button_primary_background_fill": "var(--fc-accent)",
    "button_primary_background_fill_hover": "var(--fc-accent)",
    "button_primary_border_color": "var(--fc-accent)",
    "button_primary_text_color": "var(--fc-panel)",
    "button_secondary_background_fill": "var(--fc-panel)",
    "button_secondary_background_fill_hover": "var(--fc-accent-soft)",
    "button_secondary_border_color": "var(--fc-line)",
    "button_secondary_text_color": "var(--fc-ink)",
    "slider_color": "var(--fc-accent)",
    "table_even_background_fill": "var(--fc-panel)",
    "table_odd_background_fill": "var(--fc-paper)",
    "table_border_color": "var(--fc-line)",
}
SIZES = {
    "block_border_width": "0px",
    "block_padding": "0px",
    "block_shadow": "none",
    "block_title_text_size": "12px",
    "block_title_text_weight": "500",
    "block_info_text_size": "12px",
    "form_gap_width": "0px",
    "layout_gap": "12px",
    "input_border_width": "1px",
    "input_padding": "6px 9px",
    "input_shadow": "none",
    "button_border_width": "1px",
    "button_large_padding": "6px 14px",
    "button_large_text_size": "14px",
    "button_small_padding": "4px 10px",
    "button_small_text_size": "13px",
    "button_small_text_weight": "500",
    "checkbox_label_padding": "5px 10px",
}


def theme() -> gr.themes.Base:
    """Fonts come from the system, so that no page asks for one."""
    base = gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        font=SANS,
        font_mono=MONO,
        text_size="sm",
        spacing_size="sm",
        radius_size="sm",
    )
    dark = {f"{name}_dark": value for name, value in COLOURS.items()}
    return base.set(**COLOURS, **dark, **SIZES, block_border_width_dark="0px")
