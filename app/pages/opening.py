"""How a page comes up: its form when its tab is first seen, and the run that the address names."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.context import Context

from app import jobs
from app.events import TELLING
from probes.errors import WorkbenchError


def open_when_seen(tab: Any, opened: gr.State) -> None:
    """Make the form when the tab is first seen: a config may import torch, the server's start must not."""
    if isinstance(tab, gr.Tab):
        tab.select(lambda: True, outputs=opened, **TELLING)
    else:
        assert Context.root_block is not None
        Context.root_block.load(lambda: True, outputs=opened, **TELLING)


def linked_run(request: gr.Request) -> tuple[str, str]:
    """(the run that the address names, where there is one, the tab that it opens)."""
    asked = dict(request.query_params)
    slug = str(asked.get("run", ""))
    try:
        found = jobs.find(slug).slug if slug else ""
    except WorkbenchError:
        found = ""
    return found, str(asked.get("tab", ""))
