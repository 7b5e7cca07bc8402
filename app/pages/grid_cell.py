"""One cell of a grid, opened: which latent stands for which factor, what moving it does, the graph among latents."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app import grid_cells, grids
from app.components.menu import Menu
from app.components.plot_view import PlotlyView, figure_value
from app.components.run_panel import Told, raised
from app.grid_cells import FACTOR_COLUMNS, MEASURE_COLUMNS
from app.grids import KeptCell
from app.heat_maps import Figure
from app.pages.grid_keep import KeepRow
from app.pages.suite_form import text_table
from app.suite_runs import GRID
from concept_graphs.latent_methods import AUTO
from probes.errors import WorkbenchError

# Heavier than a look at a run: in the queue, one at a time, so that polling goes on beside it, and answered in turn.
HEAVY: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 1, "concurrency_id": "grid-cell"}
# What closes a cell waits in the same line. A busy browser may still send it after the question that opens one.
CLOSING = HEAVY | {"show_progress": "hidden"}


class CellPanel:
    """Made where it is constructed inside a `gr.Blocks`; `choices` says what `outputs` show for the cells of a run."""

    def __init__(self, shown: gr.Dropdown) -> None:
        self.shown = shown
        self.open = gr.State(Told())  # (run, cell) that was opened last
        with gr.Column(visible=False, elem_id="grid-cell") as self.whole:
            gr.Markdown("**Open a cell** as a representation", elem_id="grid-cell-title")
            with gr.Row(equal_height=False):
                self.pair = Menu(
                    [], label="Task × constraint", interactive=True, min_width=260, elem_id="grid-cell-pair"
                )
                self.which = Menu(
                    [], label="Which of its cells", interactive=True, min_width=260, elem_id="grid-cell-which"
                )
            self.go = gr.Button("Open", size="sm", elem_id="grid-cell-open")
            with gr.Column(visible=False, elem_id="grid-cell-detail") as self.detail:
                self._build_detail()

    def _build_detail(self) -> None:
        with gr.Row(equal_height=False):
            with gr.Column(min_width=330):
                self.factors = text_table(
                    FACTOR_COLUMNS,
                    "Factors and their latents; MCC by the half of held-out rows that did not choose the match",
                    "grid-cell-factors",
                )
                self.measures = text_table(MEASURE_COLUMNS, "Its numbers on held-out rows", "grid-cell-measures")
            with gr.Column(min_width=330):
                self.matches = PlotlyView(None, elem_id="grid-cell-matches")
        with gr.Row(equal_height=False):
            self.latent = Menu([], label="Latent", interactive=True, elem_id="grid-cell-latent")
            self.row = gr.Number(0, label="Held-out row", precision=0, elem_id="grid-cell-row")
        self.step = gr.Slider(
            -3, 3, value=2, step=0.1, label="Standard deviations it is moved by", elem_id="grid-cell-step"
        )
        self.said = gr.Textbox("", show_label=False, lines=2, max_lines=20, interactive=False, elem_id="grid-cell-said")
        self.here = PlotlyView(None, elem_id="grid-cell-here")
        self.along = PlotlyView(None, elem_id="grid-cell-along")
        with gr.Row(equal_height=True):
            self.method = gr.Radio(
                grid_cells.method_choices(),
                value=AUTO,
                label="Graph among latents by",
                info=" ",
                elem_id="grid-cell-method",
            )
            self.discover = gr.Button("Find the graph", size="sm", elem_id="grid-cell-discover")
        with gr.Column(visible=False, elem_id="grid-cell-graph") as self.graph:
            self.graph_said = gr.Textbox(
                "", show_label=False, lines=3, max_lines=40, interactive=False, elem_id="grid-cell-graph-said"
            )
            with gr.Row():
                with gr.Column(min_width=330):
                    self.known = PlotlyView(None, elem_id="grid-cell-known")
                with gr.Column(min_width=330):
                    self.recovered = PlotlyView(None, elem_id="grid-cell-recovered")
        self.keep = KeepRow()

    @property
    def outputs(self) -> list[Any]:
        return [self.whole, self.detail, self.pair, self.which]

    def choices(self, cells: list[KeptCell]) -> list[Any]:
        """Values of `outputs` for a run that keeps still; nothing is opened before it is asked for."""
        pairs = grid_cells.pair_choices(cells)
        first = pairs[0][1] if pairs else None
        return [
            gr.update(visible=bool(pairs)),
            gr.update(visible=False),
            gr.update(choices=pairs, value=first),
            _which(cells, first or ""),
        ]

    def wire(self) -> None:
        """Opening, moving a latent, and looking for the graph."""
        moving = [self.shown, self.which, self.latent, self.row, self.step]
        moved = [self.said, self.here, self.along]
        self.keep.wire(self.shown, self.which, self.method, HEAVY)
        graph = [self.graph, self.graph_said, self.known, self.recovered]
        details = [self.detail, self.which, self.factors, self.measures, self.matches, self.latent, *moved]
        details += [self.method, self.graph, *self.keep.outputs]
        self.pair.input(self._offer, [self.shown, self.pair, self.open], [self.which, self.detail], **CLOSING)
        self.which.input(self._chosen, [self.shown, self.which, self.open], self.detail, **CLOSING)
        asked = [self.shown, self.pair, self.which, self.row, self.step, self.open]
        self.go.click(self._open, asked, details, **HEAVY)
        for part in (self.latent.input, self.row.input, self.step.input):
            part(self._move, moving, moved, trigger_mode="always_last", **CLOSING)
        self.discover.click(self._discover, [self.shown, self.which, self.method], graph, **HEAVY)

    @staticmethod
    def _offer(slug: str, pair: str, told: Told) -> list[Any]:
        """The cells of a pair, none of them open unless Open was quicker. A run that has gone has none."""
        try:
            cells = grids.kept_cells(GRID.found(slug))
        except WorkbenchError:
            cells = []
        for _, cell in grid_cells.cell_choices(cells, pair):
            if told.of == (slug, cell):
                return [_which(cells, pair, cell), gr.skip()]
        told.of = None
        return [_which(cells, pair), gr.update(visible=False)]

    @staticmethod
    def _chosen(slug: str, cell: str, told: Told) -> Any:
        """Another cell closes the one that is open."""
        return gr.update(visible=False) if told.is_news((slug, cell)) else gr.skip()

    @staticmethod
    def _open(slug: str, pair: str, chosen_cell: str, row: float, step: float, told: Told) -> list[Any]:
        def shown() -> list[Any]:
            # Whoever was quicker than the menu of cells means the pair just picked, not the cell of another.
            cell = grid_cells.cell_of(slug, pair, chosen_cell)
            found, one = grid_cells.opened(slug, cell), grid_cells.kept(slug, cell)
            latents = grid_cells.latent_choices(found)
            matches = figure_value(grid_cells.matches(found), label="Factors and latents", key=cell)
            first = latents[0][1]
            chosen = gr.update(choices=latents, value=first)
            table = grid_cells.factor_table(one, found)
            return [
                gr.update(visible=True),
                _which(grids.kept_cells(GRID.found(slug)), pair, cell),
                table,
                grid_cells.measure_table(one),
                matches,
                chosen,
                *_moved(grid_cells.traversal(found, first, int(row or 0), step), cell),
                gr.update(info=grid_cells.method_costs(found)),
                gr.update(visible=False),
                *KeepRow.fresh(cell),
            ]

        found: list[Any] = raised(shown)
        told.of = (slug, grid_cells.cell_of(slug, pair, chosen_cell))
        return found

    @staticmethod
    def _move(slug: str, cell: str, latent: int, row: float, step: float) -> list[Any]:
        found = raised(lambda: grid_cells.traversal(grid_cells.opened(slug, cell), latent, int(row or 0), step))
        return _moved(found, cell)

    @staticmethod
    def _discover(slug: str, cell: str, method: str) -> list[Any]:
        said, known, recovered = raised(lambda: grid_cells.graphs(grid_cells.opened(slug, cell), method))
        views = [
            figure_value(known, label="The world's graph", key=f"{cell} known"),
            figure_value(recovered, label="The graph among latents", key=f"{cell} {method}"),
        ]
        return [gr.update(visible=True), said, *views]


def _which(cells: list[KeptCell], pair: str, chosen: str = "") -> Any:
    choices = grid_cells.cell_choices(cells, pair)
    return gr.update(choices=choices, value=chosen or (choices[0][1] if choices else None))


def _moved(found: tuple[str, Figure, Figure], cell: str) -> list[Any]:
    said, here, along = found
    return [
        said,
        figure_value(here, label="Where the slider is", key=f"{cell} here"),
        figure_value(along, label="Step by step", key=f"{cell} along"),
    ]
