"""How a page with runs comes up when its tab is first seen: its form, and the run that the address names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from app import jobs
from app.components.run_panel import RunPanel, Told
from app.events import TELLING
from probes.errors import WorkbenchError


def open_when_seen(
    tab: gr.Tab, opened: gr.State, panel: RunPanel, names: Callable[[], list[str]], belongs: Callable[[str], bool]
) -> None:
    """One question when the tab is seen, and none before: each costs the browser some tenths of a second.

    `opened` then makes the form: a config may import torch, the server's start must not. `names` are the runs to
    choose from; the run that the address names is shown where it `belongs` here.
    """

    def seen(before: bool, told: Told, request: gr.Request) -> list[Any]:
        slug = "" if before else _addressed(request)
        if not belongs(slug):
            return [True, gr.update(choices=names()), *[gr.skip() for _ in panel.outputs]]
        return [True, gr.update(choices=names(), value=slug), *panel.refresh(slug, told)]

    tab.select(seen, inputs=[opened, panel.told], outputs=[opened, panel.shown, *panel.outputs], **TELLING)


def _addressed(request: gr.Request) -> str:
    """The run that the address names; nothing where there is none."""
    slug = str(dict(request.query_params).get("run", ""))
    try:
        return jobs.find(slug).slug if slug else ""
    except WorkbenchError:
        return ""
