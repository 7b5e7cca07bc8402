"""The Grid page: every task under every constraint on a world whose factors are known, and any cell of it opened."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import gradio as gr

from app import grid_figures, grid_plans, grid_words, grids
from app.components.command_box import command_box
from app.components.menu import Menu
from app.components.plot_view import PlotlyView, figure_value
from app.components.run_panel import RunPanel, raised
from app.events import TELLING
from app.grids import CARD_COLUMNS, LIVE_COLUMNS, Opened, marked
from app.pages.grid_cell import CellPanel
from app.pages.opening import open_when_seen
from app.pages.suite_form import SuiteForm, text_table
from app.suite_runs import GRID
from app.watching import Seen
from probes.errors import WorkbenchError

NOTHING = "No run is shown. Start one, or choose one above."
INTRODUCTION = (
    "A task says what latents must preserve, a constraint what structure they must have. Every pair is trained on "
    "worlds whose factors are known: MCC says whether each factor has a latent of its own, R² whether the factors can "
    "be read from all latents together."
)
FIRST = (("world",), ("tasks", "constraints", "seeds"))
FULL = "full"  # beside the suite's presets: its defaults


def build(context: Any) -> None:
    """Build the page inside the current tab. `context.settings` gives the threads of a detached run."""
    opened = gr.State(False)
    preset = gr.State("")
    gr.Markdown(INTRODUCTION, elem_id="grid-introduction")
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=340):
            form_place = gr.Column()
        with gr.Column(scale=8, min_width=340):
            panel = _Panel()
            panel.build_result()
    with form_place:
        _form(context, opened, preset, panel.shown)
    panel.wire(context)
    open_when_seen(context.tab, opened, panel, GRID.names, GRID.belongs)


def _form(context: Any, opened: gr.State, preset: gr.State, shown: gr.Dropdown) -> None:
    @gr.render(  # type: ignore[untyped-decorator]
        inputs=[opened, preset], triggers=[opened.change, preset.change], queue=False
    )
    def form(is_open: bool, chosen: str) -> None:
        if not is_open:
            return
        config, presets = grids.form_of()
        offered = {**presets, FULL: {}}
        name = chosen if chosen in offered else next(iter(offered))
        choice = gr.Radio(
            list(offered),
            value=name,
            label="Size",
            info="Starting values; every one can be changed below.",
            interactive=True,
            elem_id="grid-preset",
        )
        choice.change(lambda value: value, inputs=choice, outputs=preset, **TELLING)
        made = SuiteForm(GRID, config, offered[name], prefix="grid", first=FIRST)
        made.wire(context, shown, *_plan(made))


def _plan(form: SuiteForm) -> tuple[Callable[..., list[Any]], list[Any]]:
    """Below the form: which pairs can be had, and on request how long the grid would take. Gives what follows the
    fields, and where it is shown."""
    inputs = form.fields.components
    figure, said = _planned(form, [part.value for part in inputs])
    drawn = PlotlyView(figure, elem_id="grid-plan")
    reasons = gr.Textbox(
        said, label="What would be trained", lines=2, max_lines=40, interactive=False, elem_id="grid-planned"
    )
    ask = gr.Button("Estimate the cost", size="sm", elem_id="grid-ask-cost")
    cost = gr.Textbox("", show_label=False, lines=2, max_lines=4, interactive=False, visible=False, elem_id="grid-cost")

    def plan(*given: Any) -> list[Any]:
        return [*_planned(form, given), gr.update(visible=False)]

    def estimate(*given: Any) -> Any:
        return gr.update(value=raised(lambda: grid_plans.cost_said(form.fields.read(given))), visible=True)

    ask.click(estimate, inputs, cost, api_visibility="private", concurrency_limit=1)
    return plan, [drawn, reasons, cost]


def _planned(form: SuiteForm, given: Any) -> tuple[dict[str, Any], str]:
    """The pairs as a picture, and what would be trained; or what is wrong with the form."""
    try:
        figure, said = grid_plans.planned(form.fields.read(given))
        return figure_value(figure, label="Pairs that can be had", key="plan"), said
    except WorkbenchError as error:
        return {}, str(error)


class _Panel(RunPanel):
    """The right-hand side: a run, what it has so far, and below it what it found."""

    def __init__(self) -> None:
        super().__init__("grid", NOTHING)

    def build_more(self) -> None:
        """What there is so far, while it is not done."""
        self.live = text_table(
            LIVE_COLUMNS, "So far: means over all finished cells of a pair", "grid-live", visible=False
        )

    def build_result(self) -> None:
        """What the numbers say, the maps, and the curve of one pair."""
        with gr.Column(visible=False, elem_id="grid-result") as self.result:
            self.said = gr.Textbox(
                "", label="What it says", lines=3, max_lines=40, interactive=False, elem_id="grid-said"
            )
            with gr.Row():
                with gr.Column(min_width=330):
                    self.mcc = PlotlyView(None, elem_id="grid-mcc")
                with gr.Column(min_width=330):
                    self.r2 = PlotlyView(None, elem_id="grid-r2")
            with gr.Row():
                with gr.Column(min_width=330):
                    self.gained = PlotlyView(None, elem_id="grid-gained")
                with gr.Column(min_width=330):
                    self.shares = PlotlyView(None, elem_id="grid-shares")
            self.pair = Menu(
                [],
                label="Along the weights",
                info="The pair whose weights are drawn.",
                interactive=True,
                elem_id="grid-pair",
            )
            self.curve = PlotlyView(None, elem_id="grid-curve")
            self.card = text_table(CARD_COLUMNS, "The world, and what it assumes", "grid-card")
            self.command = command_box(elem_id="grid-own-command", label="The command line of this run")
        self.cell = CellPanel(self.shown)
        self.drawn = [self.said, self.mcc, self.r2, self.gained, self.shares, self.card]
        self.more = [*self.cell.outputs, self.live, self.result, self.command, self.pair, self.curve, *self.drawn]

    def wire(self, context: Any) -> None:
        """Also draw another pair's curve when one is chosen."""
        super().wire(context)
        self.cell.wire()

        def draw(slug: str, pair: str) -> Any:
            return raised(lambda: _curve(grids.opened(slug), pair))

        self.pair.input(draw, inputs=[self.shown, self.pair], outputs=self.curve, **TELLING)

    def told_of(self, seen: Seen) -> Hashable:
        """Also by how many cells are kept so far: the live table shows them."""
        run = GRID.found(seen.slug) if GRID.belongs(seen.slug) else None
        return super().told_of(seen), len(grids.kept_cells(run)) if run else 0

    @property
    def _unchanged(self) -> list[Any]:
        """What only a finished run fills."""
        return [gr.skip() for _ in self.more[self.more.index(self.result) + 1 :]]

    def values(self, seen: Seen | None) -> list[Any]:
        """The table of a run that is not done; what a finished one found."""
        if seen is None or not GRID.belongs(seen.slug):  # a name that was typed may be that of any run
            return [*self.cell.choices([]), *[gr.update(visible=False)] * 2, *self._unchanged]
        cells = grids.kept_cells(GRID.found(seen.slug))
        offered = self.cell.choices([] if seen.active else cells)
        if seen.state != "done":
            live = gr.update(value=grids.live_table(cells), visible=True)
            return [*offered, live, gr.update(visible=False), *self._unchanged]
        shown = [*offered, gr.update(visible=False), gr.update(visible=True), seen.command]
        try:
            found = grids.opened(seen.slug)
        except WorkbenchError as error:
            return [*shown, gr.update(choices=[], value=None), {}, str(error), {}, {}, {}, {}, []]
        told = found.file.told
        choices = [(f"{marked(c, told)} under {marked(task, told)}", f"{task}/{c}") for task, c in found.pairs]
        first = choices[0][1] if choices else None
        return [*shown, gr.update(choices=choices, value=first), _curve(found, first), *_drawn(found)]


def _drawn(found: Opened) -> list[Any]:
    """What the numbers say, the maps, the shares and the world's card."""
    figures = {
        "MCC of every pair": grid_figures.heat_figure(found, "mcc"),
        "R² of every pair": grid_figures.heat_figure(found, "r2"),
        "MCC gained over the task alone": grid_figures.gain_figure(found),
        "Shares of variance": grid_figures.shares_figure(found),
    }
    views = [figure_value(figure, label=label, key=f"{found.slug} {label}") for label, figure in figures.items()]
    return ["\n".join(grid_words.sentences(found)), *views, grids.card_table(found)]


def _curve(found: Opened, chosen: str | None) -> dict[str, Any]:
    """The curve of a pair; nothing where there is no such pair."""
    pair = next((pair for pair in found.pairs if "/".join(pair) == chosen), None)
    if pair is None:
        return {}
    figure = grid_figures.curve_figure(found, pair, grids.alone_of(found, pair[0]))
    return figure_value(figure, label=f"MCC and R² along the weights: {chosen}", key=f"{found.slug} {chosen}")
