"""Steering texts: the form, both texts side by side with their controls, and the example made beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from app.comparing import compare_on_probe
from app.components.comparison import ComparisonView
from app.components.lever_rack import Rack, rack_of
from app.desk import levers_of, rack_from, shares
from app.events import QUIET
from app.pages.context import Compare, PageContext
from app.pages.outcome import outcome_value
from app.pages.pinning import PinButton
from app.pages.steer_command import Ask, asked, command_line
from app.sources import Source, open_source
from probes.configs import validated
from probes.errors import WorkbenchError
from probes.files import read_json
from steering.levers import Lever

PROMPT = "The president of the United States stood up and said that"
EMPTY = "Put a concept on the rack (Graph page, + lever), then press Generate."
SHIPPED = "comparison.json"


class TextPart:
    """The components of texts and what their handlers return. `groups` are seen when the subject writes."""

    def __init__(self, context: PageContext, source: Any) -> None:
        self.context, self.source = context, source

    def build_form(self) -> None:
        with gr.Column() as form:
            prompt = gr.Textbox(PROMPT, label="Prompt", lines=3, max_lines=8, max_length=20_000, elem_id="steer-prompt")
            with gr.Row():
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=80, elem_id="steer-seed")
                tokens = gr.Number(
                    40, label="New tokens", precision=0, minimum=1, maximum=400, min_width=80, elem_id="steer-tokens"
                )
                temperature = gr.Number(
                    0.7, label="Temperature", step=0.1, minimum=0, maximum=2, min_width=80, elem_id="steer-temperature"
                )
            controls = gr.Checkbox(
                True,
                label="Compare with controls",
                info="random latents of equal norm, difference of means, a plain prompt",
                elem_id="steer-controls",
            )
            with gr.Row():
                self.go = gr.Button("Generate", variant="primary", elem_id="steer-go")
                self.ready = gr.Button("Try it", visible=False, elem_id="steer-try")
        self.prompt, self.seed = prompt, seed
        self.form: list[Any] = [prompt, seed, tokens, temperature, controls]
        self.groups: list[Any] = [form]

    def build_view(self) -> None:
        self.last = gr.State(None)
        with gr.Column() as view:
            self.view = ComparisonView({"message": EMPTY}, elem_id="comparison")
            self.pin = PinButton("steer")
        self.groups.append(view)

    def wire(self) -> None:
        """Join the components to the handlers."""
        source, rack = self.source, self.context.rack
        self.go.click(
            self.steer,
            inputs=[source, rack, *self.form],
            outputs=[self.view, self.last, rack],
            concurrency_id="model",
            concurrency_limit=1,
            trigger_mode="once",
            show_progress="hidden",
            api_name="steer",
        )
        outputs = [self.view, self.last, rack, self.prompt, self.seed]
        self.ready.click(self.shipped, inputs=source, outputs=outputs, **QUIET)
        self.pin.wire(self.last)
        source.change(self.offer, inputs=source, outputs=self.ready, **QUIET)

    def steer(self, name: Any, rack_value: Any, *form: Any) -> Iterator[tuple[Any, Any, Any]]:
        """Values of the comparison, of its state and of the rack's shares."""
        yield {"message": "Generating: the subject is loaded at the first use.", "busy": True}, None, gr.skip()
        try:
            rack = rack_of(rack_value)
            data = self._run(open_source(self.context.graphs, name), rack, asked(*form))
        except WorkbenchError as error:
            yield {"message": str(error), "failed": True}, None, gr.skip()
            return
        yield outcome_value(data), data, gr.update(shares=shares(rack, data))

    def _run(self, source: Source, rack: Rack, ask: Ask) -> dict[str, Any]:
        if not rack.levers:
            raise WorkbenchError("no-lever", "There is no lever", "the rack is empty", "Add one on the Graph page.")
        compare: Compare = self.context.compare if source.graph is not None else compare_on_probe
        with self.context.pool.use(source.subject) as subject:
            found = compare(
                subject,
                source.graph if source.graph is not None else source.probe,
                levers_of(rack),
                ask.prompt,
                seed=ask.seed,
                max_new_tokens=ask.tokens,
                temperature=ask.temperature,
                controls=ask.controls,
                concept=rack.levers[0].concept,
            )
        data = found if isinstance(found, dict) else dict(found.model_dump(mode="json"))
        return {**data, "command": command_line(source.ref, rack, ask, probe=source.probe)}

    def command(self, source: Source, rack: Rack, form: Sequence[Any]) -> str:
        """The command line of the form as it stands."""
        return command_line(source.ref, rack, asked(*form))

    def shipped(self, name: Any) -> tuple[Any, ...]:
        """The comparison that lies beside the graph, with its levers, prompt and seed; needs no subject."""
        data = self._beside(name)
        if data is None:
            return (gr.skip(),) * 5
        levers = [validated(Lever, row["lever"], what="The shipped lever") for row in data["levers"]]
        rack = rack_from(levers, open_source(self.context.graphs, name).row)
        value = gr.update(value=rack.model_dump(mode="json"), shares=shares(rack, data))
        told = "Computed beforehand. Move the slider and press Generate to run it yourself."
        return {**outcome_value(data), "message": told}, data, value, data["prompt"], data["seed"]

    def offer(self, name: Any) -> Any:
        """Whether there is something to try at once."""
        try:
            return gr.update(visible=self._beside(name) is not None)
        except WorkbenchError:
            return gr.update(visible=False)

    def _beside(self, name: Any) -> dict[str, Any] | None:
        kind, _, ref = str(name or "").partition("/")
        return shipped(self.context.graphs.open(ref).path) if kind == "graph" and ref else None


def shipped(folder: Any) -> dict[str, Any] | None:
    """The comparison made beforehand beside a graph; None when there is none."""
    path = folder / SHIPPED
    data = read_json(path, limit=4 * 2**20) if path.is_file() else None
    return data if isinstance(data, dict) and "tokens" in data.get("steered", {}) else None
