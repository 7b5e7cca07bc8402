"""The Identifiability page: set the dials of a world whose graph is known, and see what of that graph is recovered.

Only in such a world can a graph be said to be identified: nowhere else is there a truth to hold it against.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from app import known_graphs
from app.components.command_box import command_box
from app.components.menu import Menu
from app.components.plot_view import PlotlyView, figure_value
from app.components.run_panel import RunPanel, raised
from app.events import TELLING
from app.known_graphs import PAIR_COLUMNS, WHOLE_COLUMNS, Opened
from app.pages.opening import open_when_seen
from app.pages.suite_form import SuiteForm, text_table
from app.suite_runs import KNOWN_GRAPH
from app.watching import Seen
from probes.errors import WorkbenchError

NOTHING = "No run is shown. Start one, or choose one above."
INTRODUCTION = (
    "A world whose graph is known: set its dials, and see which of its edges are recovered. Only here can a graph be "
    "said to be identified; on a model there is no truth to hold it against."
)
PAIRS_NOTE = (
    "AP: average precision of the ranking of all pairs, which needs no cut. F1: of the edges that are drawn. F1 of "
    "tested: the same, but with the first pairs of the ranking judged by interventions. SHD: how many edges differ "
    "from the known ones. ↑ more is better, ↓ less is."
)
WHOLE_NOTE = (
    "SID and ancestor AID: for how many ordered pairs of concepts the drawn graph would give a wrong effect. MCC: how "
    "closely latents follow their concepts, 1 at best; it is given where codes are learned."
)
FIRST = (("world",), ("codes",), ("proposals",), ("seeds", "rows"))


def build(context: Any) -> None:
    """Build the page inside the current tab. `context.settings` gives the threads of a detached run."""
    opened = gr.State(False)
    gr.Markdown(INTRODUCTION, elem_id="known-introduction")
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=340):
            form_place = gr.Column()
        with gr.Column(scale=8, min_width=340):
            panel = _Panel()
            panel.build_result()
    with form_place:
        _form(context, opened, panel.shown)
    panel.wire(context)
    open_when_seen(context.tab, opened, panel, KNOWN_GRAPH.names, KNOWN_GRAPH.belongs)


def _form(context: Any, opened: gr.State, shown: gr.Dropdown) -> None:
    @gr.render(inputs=opened, triggers=[opened.change], queue=False)  # type: ignore[untyped-decorator]
    def form(is_open: bool) -> None:
        if is_open:
            SuiteForm(KNOWN_GRAPH, *known_graphs.form_of(), prefix="known", first=FIRST).wire(context, shown)


class _Panel(RunPanel):
    """The right-hand side: a run, and below it what it found."""

    def __init__(self) -> None:
        super().__init__("known", NOTHING)

    def build_result(self) -> None:
        """Both graphs, what they say, and the figures."""
        with gr.Column(visible=False, elem_id="known-result") as self.result:
            self.method = Menu(
                [],
                label="Recovered by",
                info="What proposed the edges of the second graph, cut where F1 is best on other worlds.",
                interactive=True,
                elem_id="known-method",
            )
            self.said = gr.Textbox(
                "", label="What it says", lines=2, max_lines=40, interactive=False, elem_id="known-said"
            )
            with gr.Row():
                with gr.Column(min_width=330):
                    self.truth = PlotlyView(None, elem_id="known-truth")
                with gr.Column(min_width=330):
                    self.recovered = PlotlyView(None, elem_id="known-recovered")
            self.pairs = text_table(PAIR_COLUMNS, "Edges between levels, beside the baselines", "known-pairs")
            gr.Markdown(PAIRS_NOTE, elem_classes=["fc-note"])
            self.whole = text_table(WHOLE_COLUMNS, "Concepts, and the graph as a whole", "known-whole")
            gr.Markdown(WHOLE_NOTE, elem_classes=["fc-note"])
            self.command = command_box(elem_id="known-own-command", label="The command line of this run")
        self.drawn = [self.said, self.truth, self.recovered]
        self.more = [self.result, self.command, self.method, self.pairs, self.whole, *self.drawn]

    def wire(self, context: Any) -> None:
        """Also draw another method's graph when one is chosen."""
        super().wire(context)

        def draw(slug: str, method: str) -> list[Any]:
            found: Opened = raised(lambda: known_graphs.opened(slug))
            return _drawn(found, method)

        self.method.input(draw, inputs=[self.shown, self.method], outputs=self.drawn, **TELLING)

    def values(self, seen: Seen | None) -> list[Any]:
        """What a finished run found; nothing before."""
        if seen is None or seen.state != "done":
            return [gr.update(visible=False), *[gr.skip() for _ in self.more[1:]]]
        try:
            found = known_graphs.opened(seen.slug)
        except WorkbenchError as error:
            empty = [gr.update(choices=[], value=None), [], []]
            return [gr.update(visible=True), seen.command, *empty, str(error), {}, {}]
        choices = known_graphs.method_choices(found)
        method = choices[0][1]
        tables = [known_graphs.pair_table(found), known_graphs.whole_table(found)]
        offered = gr.update(choices=choices, value=method)
        return [gr.update(visible=True), seen.command, offered, *tables, *_drawn(found, method)]


def _drawn(found: Opened, method: str) -> list[Any]:
    """What is said of a method, and both graphs."""
    said = known_graphs.sentences(found, method)
    views = [
        figure_value(figure, label=label, key=f"{found.slug} {label}")
        for figure, label in zip(
            known_graphs.pictures(found, method), ("The known graph", "The recovered graph"), strict=True
        )
    ]
    return ["\n".join(said), *views]
