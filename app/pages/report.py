"""The Report page: choose a graph and pinned comparisons, write one HTML file, download it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app import jobs
from app.pages.context import PageContext
from app.report import ReportConfig, available_pins
from app.worker import execute
from probes.configs import validated
from probes.errors import WorkbenchError

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def build(context: PageContext) -> None:
    """Build the page inside the current tab."""
    names = context.graphs.names()
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=320):
            start = context.default_graph if context.default_graph in names else None
            graph = gr.Dropdown(names, value=start, label="Graph", elem_id="report-graph")
            title = gr.Textbox(
                "", label="Title", placeholder="the graph's own", max_length=200, elem_id="report-title"
            )
            pins = gr.Dropdown(
                available_pins(), value=[], multiselect=True, label="Pinned steering", elem_id="report-pins"
            )
            concepts = gr.Slider(0, 100, value=24, step=1, label="Concept cards", elem_id="report-concepts")
            with gr.Row():
                again = gr.Button("Refresh lists", elem_id="report-refresh")
                go = gr.Button("Write report", variant="primary", elem_id="report-go")
        with gr.Column(scale=6, min_width=320):
            said = gr.Markdown(
                "One HTML file that opens from disk without a request, and a JSON twin beside it."
            )
            file = gr.DownloadButton("Download the report", visible=False, elem_id="report-file")
            command = gr.Code(
                "", language="shell", label="The same from the command line", elem_id="report-command"
            )

    def config_of(ref: Any, text: Any, chosen: Any, count: Any) -> ReportConfig:
        data = {
            "graph": ref or "",
            "title": text or "",
            "pins": tuple(chosen or ()),
            "concepts": int(count or 0),
        }
        known = available_pins()
        if any(pin not in known for pin in tuple(chosen or ())):
            raise WorkbenchError(
                "no-pin", "A pinned run is gone", "its file does not exist", "Refresh the lists."
            )
        return validated(ReportConfig, data, what="The report")

    def write(ref: Any, text: Any, chosen: Any, count: Any) -> tuple[str, Any]:
        try:
            context.graphs.open(str(ref))
            made = execute(jobs.new_run("report", config_of(ref, text, chosen, count)))
        except WorkbenchError as error:
            return f"**Not written.** {error}", gr.update(visible=False)
        assert made is not None
        page: Path = made / "report.html"
        return f"Written: {page.stat().st_size / 2**20:.1f} MB.", gr.update(value=str(page), visible=True)

    def equal(ref: Any, text: Any, chosen: Any, count: Any) -> str:
        try:
            return jobs.command_line("report", config_of(ref, text, chosen, count))
        except WorkbenchError as error:
            return f"# {error}"

    inputs = [graph, title, pins, concepts]
    go.click(write, inputs=inputs, outputs=[said, file], api_name="report", show_progress="minimal")
    parts: list[Any] = [*inputs]
    for part in parts:
        part.change(equal, inputs=inputs, outputs=command, **QUIET)
    again.click(
        lambda: (gr.update(choices=context.graphs.names()), gr.update(choices=available_pins())),
        outputs=[graph, pins],
        **QUIET,
    )
