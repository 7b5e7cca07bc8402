"""The Runs page: every run of every kind, where it is, why it failed, and its log."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.components.command_box import command_box
from app.events import QUIET
from app.suite_runs import of_pages, tab_of
from app.watching import COLUMNS, look, table
from probes.errors import WorkbenchError

OPEN_IN = """(slug) => { if (!slug) return; const u = new URL(location);
  u.searchParams.set("tab", "%s"); u.searchParams.set("run", slug); location.assign(u); }"""


def build(context: Any) -> None:
    """Build the page inside the current tab."""
    listing = gr.Dataframe(
        value=[],
        headers=list(COLUMNS),
        datatype="str",
        type="array",
        interactive=False,
        wrap=True,
        column_widths=["18%", "8%", "8%", "14%", "14%", "38%"],
        max_height=420,
        label="Runs",
        show_label=True,
        elem_id="runs-table",
    )
    again = gr.Button("Refresh", size="sm", elem_id="runs-refresh")
    with gr.Column(visible=False) as detail:
        chosen = gr.Textbox("", label="Run", interactive=False, lines=1, elem_id="runs-chosen")
        line = gr.Textbox("", show_label=False, lines=2, max_lines=6, interactive=False, elem_id="runs-status")
        open_in_train = gr.Button("Open in Train", size="sm", elem_id="runs-open")
        open_in = {
            tab: gr.Button(f"Open in {tab.capitalize()}", size="sm", visible=False, elem_id=f"runs-open-{tab}")
            for tab, _ in of_pages()
        }
        command = command_box(elem_id="runs-command", label="Its command line")
        log = gr.Textbox("", label="Log", lines=4, max_lines=16, interactive=False, elem_id="runs-log")
    timer = gr.Timer(2.0, active=False)
    details = [detail, line, command, log, open_in_train, *open_in.values()]

    def refresh(slug: str) -> list[Any]:
        rows, unreadable = table()
        said = f"Runs: {len(rows)}" + (f"; folders that could not be read: {unreadable}" if unreadable else "")
        busy = any(row[2] in {"queued", "running", "stopping"} for row in rows)
        return [gr.update(value=rows, label=said), gr.Timer(active=busy), *_details(slug)]

    def choose(event: gr.SelectData) -> str:
        row = event.row_value
        return str(row[0]) if isinstance(row, list) and row else ""

    everything = [listing, timer, *details]
    context.tab.select(refresh, inputs=chosen, outputs=everything, **QUIET)
    again.click(refresh, inputs=chosen, outputs=everything, **QUIET)
    timer.tick(refresh, inputs=chosen, outputs=everything, **QUIET)
    listing.select(choose, outputs=chosen, **QUIET).then(_details, inputs=chosen, outputs=details, **QUIET)
    open_in_train.click(None, inputs=chosen, js=OPEN_IN % "train", **QUIET)
    for own, button in open_in.items():
        button.click(None, inputs=chosen, js=OPEN_IN % own, **QUIET)


def _details(slug: str) -> list[Any]:
    """State, command line and log of the chosen run, and the page that shows more of it."""
    tab = tab_of(slug)
    opening = [gr.update(visible=tab == own) for own in ("", *(own for own, _ in of_pages()))]
    if not slug:
        return [gr.update(visible=False), "", "", "", *opening]
    try:
        seen = look(slug)
    except WorkbenchError as error:
        return [gr.update(visible=True), str(error), "", "", *opening]
    return [gr.update(visible=True), seen.line, seen.command, seen.log, *opening]
