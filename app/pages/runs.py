"""The Runs page: every run of every kind, where it is, why it failed, and its log."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.context import Context

from app.watching import COLUMNS, look, table
from probes.errors import WorkbenchError

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
NOTHING = "Choose a run in the table."
OPEN_IN_TRAIN = """(slug) => { if (!slug) return; const u = new URL(location);
  u.searchParams.set("tab", "train"); u.searchParams.set("run", slug); location.assign(u); }"""


def build(context: Any) -> None:
    """Build the page inside the current tab."""
    blocks, tab = Context.root_block, Context.block
    assert blocks is not None
    chosen = gr.State("")
    count = gr.Textbox("", label="Runs", interactive=False, lines=1, elem_id="runs-count")
    listing = gr.Dataframe(
        value=[],
        headers=list(COLUMNS),
        datatype="str",
        type="array",
        interactive=False,
        wrap=True,
        column_widths=["18%", "8%", "8%", "14%", "14%", "38%"],
        max_height=420,
        show_label=False,
        elem_id="runs-table",
    )
    with gr.Row():
        again = gr.Button("Refresh", min_width=90, elem_id="runs-refresh")
        open_in_train = gr.Button("Open in Train", min_width=120, interactive=False, elem_id="runs-open")
    line = gr.Textbox(NOTHING, label="Run", lines=2, max_lines=6, interactive=False, elem_id="runs-status")
    command = gr.Code(
        "", language="shell", label="Its command line", interactive=False, elem_id="runs-command"
    )
    log = gr.Textbox("", label="Log", lines=6, max_lines=16, interactive=False, elem_id="runs-log")
    timer = gr.Timer(2.0, active=False)
    details = [line, command, log, open_in_train]

    def refresh(slug: str) -> list[Any]:
        rows, unreadable = table()
        said = f"{len(rows)} runs" + (
            f", and {unreadable} folders that could not be read" if unreadable else ""
        )
        busy = any(row[2] in {"queued", "running", "stopping"} for row in rows)
        return [said, rows, gr.Timer(active=busy), *_details(slug)]

    def choose(event: gr.SelectData) -> str:
        row = event.row_value
        return str(row[0]) if isinstance(row, list) and row else ""

    everything = [count, listing, timer, *details]
    blocks.load(refresh, inputs=chosen, outputs=everything, **QUIET)
    if isinstance(tab, gr.Tab):
        tab.select(refresh, inputs=chosen, outputs=everything, **QUIET)
    again.click(refresh, inputs=chosen, outputs=everything, **QUIET)
    timer.tick(refresh, inputs=chosen, outputs=everything, **QUIET)
    listing.select(choose, outputs=chosen, **QUIET).then(_details, inputs=chosen, outputs=details, **QUIET)
    open_in_train.click(None, inputs=chosen, js=OPEN_IN_TRAIN, **QUIET)


def _details(slug: str) -> list[Any]:
    """State, command line and log of the chosen run, and whether it can be opened."""
    if not slug:
        return [NOTHING, "", "", gr.update(interactive=False)]
    try:
        seen = look(slug)
    except WorkbenchError as error:
        return [str(error), "", "", gr.update(interactive=False)]
    return [seen.line, seen.command, seen.log, gr.update(interactive=True)]
