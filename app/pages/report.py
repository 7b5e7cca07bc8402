"""The Report page: choose a graph and pinned comparisons, write one HTML file, download it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app import jobs
from app.components.command_box import command_box
from app.components.menu import Menu
from app.events import QUIET
from app.pages.context import PageContext
from app.report import PAGE_FILE, TWIN_FILE, ReportConfig, available_pins
from app.worker import execute
from probes.configs import validated
from probes.errors import WorkbenchError
from probes.files import slug

FIRST = "One HTML file that opens from disk without a request, and a JSON twin beside it."


class ReportPage:
    """The page's components and what its handlers return."""

    def __init__(self, context: PageContext) -> None:
        self.context = context
        names = context.graphs.names()
        self.known = gr.State(available_pins())
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=300, elem_classes="fc-panel"):
                start = context.default_graph if context.default_graph in names else None
                self.graph = Menu(names, value=start, label="Graph", elem_id="report-graph")
                title = gr.Textbox(
                    "", label="Title", placeholder="the graph's own", max_length=200, elem_id="report-title"
                )
                self.pins = Menu(
                    available_pins(),
                    value=[],
                    multiselect=True,
                    label="Pinned steering",
                    info="Pin to report on the Steer page; a new pin is chosen here by itself.",
                    elem_id="report-pins",
                )
                concepts = gr.Slider(0, 100, value=24, step=1, label="Concept cards", elem_id="report-concepts")
                self.go = gr.Button("Write report", variant="primary", elem_id="report-go")
            with gr.Column(scale=6, min_width=300, elem_classes="fc-panel"):
                self.said = gr.Markdown(FIRST, elem_id="report-said")
                with gr.Row():
                    self.file = gr.DownloadButton("Download the report", visible=False, elem_id="report-file")
                    self.twin = gr.DownloadButton("Download its JSON twin", visible=False, elem_id="report-twin")
                self.command = command_box(elem_id="report-command")
        self.form: list[Any] = [self.graph, title, self.pins, concepts]

    def write(self, ref: Any, *form: Any) -> tuple[str, Any, Any]:
        """What was written, and both files to download."""
        hidden = gr.update(visible=False)
        try:
            self.context.graphs.open(str(ref or ""))
            made = execute(jobs.new_run("report", config_of(ref, *form)))
        except WorkbenchError as error:
            return f"Not written. {error}", hidden, hidden
        if made is None:
            return "Stopped.", hidden, hidden
        page: Path = made / PAGE_FILE
        said = f"Written: {page.stat().st_size / 2**20:.1f} MB, as {made.name} in the data folder."
        files = [gr.update(value=str(made / name), visible=True) for name in (PAGE_FILE, TWIN_FILE)]
        return said, files[0], files[1]

    def equal(self, *form: Any) -> str:
        """The command line of the form as it stands, or what is wrong with it."""
        try:
            return jobs.command_line("report", config_of(*form))
        except WorkbenchError as error:
            return f"# {error}"

    def arrive(self, ref: Any, chosen: Any, known: Any) -> tuple[Any, Any, list[str]]:
        """Graphs and pins as they are now; pins that are new are chosen, those that are gone are dropped."""
        pins = available_pins()
        kept = [pin for pin in pins if pin in (chosen or ()) or pin not in known]
        names = self.context.graphs.names()
        graph = gr.update(choices=names, value=ref if ref in names else None)
        return graph, gr.update(choices=pins, value=kept), pins


def config_of(ref: Any, title: Any, chosen: Any, count: Any) -> ReportConfig:
    """What the form asks for. Raises `WorkbenchError` for a pin that is gone and for values out of bounds."""
    pins, known = tuple(chosen or ()), available_pins()
    if any(pin not in known for pin in pins):
        raise WorkbenchError("no-pin", "A pinned run is gone", "its file does not exist", "Choose the pins again.")
    # A report per graph: one of another graph is never replaced.
    name = slug(str(ref or "report").replace("/", "-"), fallback="report")
    data = {"name": name, "graph": ref or "", "title": title or "", "pins": pins, "concepts": int(count or 0)}
    return validated(ReportConfig, data, what="The report")


def build(context: PageContext) -> None:
    """Build the page inside the current tab."""
    page = ReportPage(context)
    page.go.click(
        page.write,
        inputs=page.form,
        outputs=[page.said, page.file, page.twin],
        api_name="report",
        show_progress="minimal",
    )
    for part in page.form:
        part.change(page.equal, inputs=page.form, outputs=page.command, **QUIET)
    lists = [page.graph, page.pins, page.known]
    # A report is of the graph that was looked at last, unless another is chosen here.
    context.graph_ref.change(
        lambda ref: gr.update(value=ref, choices=context.graphs.names()) if ref else gr.skip(),
        inputs=context.graph_ref,
        outputs=page.graph,
        **QUIET,
    )
    context.tab.select(page.arrive, inputs=lists, outputs=lists, **QUIET).then(
        page.equal, inputs=page.form, outputs=page.command, **QUIET
    )
