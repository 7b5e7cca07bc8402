"""Steering a row of a world through a representation: the form, the row decoded in every way, and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from pydantic import Field

from app.comparing import compare_rows
from app.components.lever_rack import Rack, rack_of
from app.components.plot_view import PlotlyView, figure_value
from app.components.run_panel import raised
from app.desk import levers_of
from app.pages.context import PageContext
from app.pages.steer_command import command_line
from app.row_figures import row_figure, row_said
from app.sources import Source, open_source
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError

EMPTY = "Put a latent on the rack, then press Decode: the row is decoded with and without it."


class RowAsk(Frozen):
    """One comparison of a row to make."""

    row: int = Field(default=0, description="Held-out row of the world.", ge=0, le=10_000_000)
    seed: int = Field(default=0, description="Seed of the random directions.", ge=0, le=2**31 - 1)
    controls: bool = Field(default=True, description="Also decode random directions.")

    def flags(self) -> list[str]:
        """The same as flags of `steer`."""
        return ["--row", str(self.row), "--seed", str(self.seed)]


class RowsPart:
    """The components of rows and what their handlers return. `groups` are seen when levers are a representation's."""

    def __init__(self, context: PageContext, source: Any) -> None:
        self.context, self.source = context, source

    def build_form(self) -> None:
        with gr.Column(visible=False) as form:
            with gr.Row():
                row = gr.Number(0, label="Held-out row", precision=0, minimum=0, min_width=90, elem_id="row-row")
                seed = gr.Number(0, label="Seed of controls", precision=0, minimum=0, min_width=90, elem_id="row-seed")
            controls = gr.Checkbox(True, label="Compare with random directions", elem_id="row-controls")
            self.go = gr.Button("Decode", variant="primary", elem_id="row-go")
        self.form: list[Any] = [row, seed, controls]
        self.groups: list[Any] = [form]

    def build_view(self) -> None:
        self.begun = gr.State("")
        with gr.Column(visible=False) as view:
            self.said = gr.Textbox(EMPTY, show_label=False, lines=2, max_lines=8, interactive=False, elem_id="row-said")
            self.view = PlotlyView(None, elem_id="row-view")
        self.groups.append(view)

    def wire(self) -> None:
        """Decode when asked to, and again whenever a lever or the row changes after that."""
        inputs = [self.source, self.context.rack, *self.form]
        how: dict[str, Any] = {
            "outputs": [self.said, self.view, self.begun],
            "concurrency_id": "model",
            "concurrency_limit": 1,
            "trigger_mode": "always_last",
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        self.go.click(self.steer, inputs=inputs, **how)
        again = [self.context.rack.change, *(field.change for field in self.form)]
        gr.on(again, self.again, inputs=[self.begun, *inputs], **how)

    def steer(self, name: Any, rack_value: Any, *given: Any) -> list[Any]:
        """The sentence, the figure, and what it is of."""
        return list(raised(lambda: [*self._steered(name, rack_of(rack_value), given), str(name)]))

    def again(self, begun: str, name: Any, rack_value: Any, *given: Any) -> list[Any]:
        """The same for levers or a row that were changed since, while the source is still the same."""
        if not begun or begun != name:
            return [gr.skip()] * 3
        try:
            return [*self._steered(name, rack_of(rack_value), given), gr.skip()]
        except WorkbenchError as error:  # half a change, such as an empty rack, is no reason to shout
            return [str(error), gr.skip(), gr.skip()]

    def _steered(self, name: Any, rack: Rack, given: Sequence[Any]) -> list[Any]:
        source, ask = open_source(self.context.graphs, name), row_asked(given)
        if not rack.levers:
            raise WorkbenchError("no-lever", "There is no lever", "the rack is empty", "Add one above.")
        found = compare_rows(source.probe, levers_of(rack), ask.row, seed=ask.seed, controls=ask.controls)
        return [row_said(found), figure_value(row_figure(found), label=f"Held-out row {found.row}", key="row")]

    def command(self, source: Source, rack: Rack, form: Sequence[Any]) -> str:
        """The command line of the form as it stands."""
        return command_line(source.ref, rack, row_asked(form), probe=source.probe)


def row_asked(form: Sequence[Any]) -> RowAsk:
    """What the form asks for. Raises `WorkbenchError` naming the field that is wrong."""
    given = {name: value for name, value in zip(RowAsk.model_fields, form, strict=True) if value is not None}
    return validated(RowAsk, given, what="The comparison")
