"""Steering pictures: the form, a mask and a noise interval for the levers, and the pictures with their controls."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from app.comparing import compare_pictures, sweep_pictures
from app.components.lever_rack import Rack, rack_of
from app.components.mask_painter import MaskPainter, mask_painted, painted
from app.components.menu import Menu
from app.components.noise_timeline import NoiseTimeline, interval_chosen, interval_shown
from app.components.pictures_view import PicturesView
from app.desk import levers_of, shares
from app.events import QUIET
from app.live import Told, Work
from app.pages.context import PageContext
from app.pages.outcome import pictures_value
from app.pages.pinning import PinButton
from app.pages.steer_command import MOST_PICTURES, PictureAsk, command_line, pictures_asked
from app.picture_facts import evidence_value
from app.sources import Source, open_source
from probes.errors import Stopped, WorkbenchError

EMPTY = "Put a lever on the rack, then press Generate: the pictures are made with and without it, from the same seeds."
PROMPT = "red apple, fluent style"
ALL = "all levers"
SWEPT = ["effect", "by chance", "noise", "hook point", "by", "drift"]


class PicturesPart:
    """The components of pictures and what their handlers return. `groups` are seen when the subject paints."""

    def __init__(self, context: PageContext, source: Any) -> None:
        self.context, self.source = context, source

    def build_form(self) -> None:
        with gr.Column(visible=False) as form:
            prompt = gr.Textbox(
                PROMPT,
                label="Prompt",
                lines=1,
                max_lines=4,
                max_length=2000,
                elem_id="picture-prompt",
            )
            with gr.Row():
                seed = gr.Number(0, label="First seed", precision=0, minimum=0, min_width=70, elem_id="picture-seed")
                count = gr.Number(
                    2, label="Pictures", precision=0, minimum=1, maximum=MOST_PICTURES, min_width=70,
                    elem_id="picture-count",
                )  # fmt: skip
                steps = gr.Number(20, label="Steps", precision=0, minimum=1, min_width=70, elem_id="picture-steps")
                guidance = gr.Textbox(
                    "", label="Guidance", placeholder="its own", max_length=12, min_width=70, elem_id="picture-guidance"
                )
            asking = gr.Textbox(
                "",
                label="A prompt that asks for the same",
                info="two more controls: that prompt, and the difference of means between both",
                max_lines=2,
                max_length=2000,
                elem_id="picture-asking",
            )
            with gr.Accordion("More", open=False):
                negative = gr.Textbox("", label="What no picture should show", max_length=2000)
                controls = gr.Checkbox(True, label="Compare with controls", elem_id="picture-controls")
            with gr.Row():
                self.go = gr.Button("Generate", variant="primary", elem_id="picture-go")
                self.stop = gr.Button("Stop", elem_id="picture-stop")
            self.sweep = gr.Button("Where does the first lever work?", size="sm", elem_id="picture-sweep")
        self.form: list[Any] = [prompt, seed, count, steps, guidance, negative, asking, controls]
        self.groups: list[Any] = [form]

    def build_view(self) -> None:
        self.last = gr.State(None)
        with gr.Column(visible=False) as view:
            self.view = PicturesView({"message": EMPTY}, elem_id="pictures")
            self.pin = PinButton("picture")
            with gr.Row(equal_height=False):
                with gr.Column(scale=3, min_width=280):
                    self.target = Menu([ALL], value=ALL, label="Where and when", elem_id="place-of")
                    self.timeline = NoiseTimeline(elem_id="noise-timeline")
                with gr.Column(scale=2, min_width=240):
                    self.painter = MaskPainter(elem_id="mask-painter")
            self.evidence = PicturesView({}, elem_id="picture-evidence")
            self.swept = gr.Dataframe(
                headers=SWEPT, datatype="str", interactive=False, wrap=True, visible=False, elem_id="picture-swept"
            )
        self.groups.append(view)

    def wire(self) -> None:
        """Join the components to the handlers."""
        rack, place = self.context.rack, [self.target, self.painter, self.timeline]
        self.go.click(
            self.steer,
            inputs=[self.source, rack, *place, *self.form],
            outputs=[self.view, self.evidence, self.last, rack, self.painter, self.timeline],
            concurrency_id="model",
            concurrency_limit=1,
            trigger_mode="once",
            show_progress="hidden",
            api_visibility="private",
        )
        self.sweep.click(
            self.where_it_works,
            inputs=[self.source, rack, *place, *self.form],
            outputs=[self.view, self.swept],
            concurrency_id="model",
            concurrency_limit=1,
            trigger_mode="once",
            show_progress="hidden",
            api_visibility="private",
        )
        self.pin.wire(self.last)
        self.stop.click(self.stopped, outputs=self.view, **QUIET)
        for part in (self.painter, self.timeline):
            part.change(self.placed, inputs=[rack, *place], outputs=rack, trigger_mode="always_last", **QUIET)
        self.target.input(self.place_of, inputs=[rack, self.target, self.last], outputs=place[1:], **QUIET)
        rack.change(self.targets, inputs=[rack, self.target], outputs=self.target, **QUIET)
        for event in (rack.change, self.target.change, self.source.change):
            event(self.level_noise, inputs=[self.source, rack, self.target], outputs=self.timeline, **QUIET)

    def steer(
        self, request: gr.Request, name: Any, rack_value: Any, target: Any, mask: Any, noise: Any, *given: Any
    ) -> Iterator[tuple[Any, ...]]:
        """Values of the pictures, their figures and state, of the rack, the painter and the timeline."""
        stay = (gr.skip(),) * 5
        try:
            source, rack, ask = self._asked(name, rack_value, target, mask, noise, given)
            for told in self._following(request, lambda *how: self._run(source, rack, ask, *how)):
                if isinstance(told, Told):
                    yield busy(told), *stay
                else:
                    yield self._done(rack, told)
        except Stopped:
            yield {"message": "Stopped; what was made before stays."}, *stay
        except WorkbenchError as error:
            yield {"message": str(error), "failed": True}, *stay

    def where_it_works(
        self, request: gr.Request, name: Any, rack_value: Any, target: Any, mask: Any, noise: Any, *given: Any
    ) -> Iterator[tuple[Any, Any]]:
        """Values of the view, for the progress and one sentence, and of the table of places."""
        try:
            source, rack, ask = self._asked(name, rack_value, target, mask, noise, given)
            for told in self._following(request, lambda *how: self._sweep(source, rack, ask, *how)):
                if isinstance(told, Told):
                    yield busy(told), gr.skip()
                else:
                    rows = [swept_row(row) for row in told["rows"]]
                    yield {"message": told["works_at"]}, gr.update(value=rows, visible=True)
        except Stopped:
            yield {"message": "Stopped."}, gr.skip()
        except WorkbenchError as error:
            yield {"message": str(error), "failed": True}, gr.skip()

    def _asked(
        self, name: Any, rack_value: Any, target: Any, mask: Any, noise: Any, given: Sequence[Any]
    ) -> tuple[Source, Rack, PictureAsk]:
        source, ask = open_source(self.context.graphs, name), pictures_asked(given)
        rack = placed_rack(rack_of(rack_value), target, mask, noise)
        if not rack.levers:
            raise WorkbenchError("no-lever", "There is no lever", "the rack is empty", "Add one above.")
        return source, rack, ask

    def _following(self, request: gr.Request, work: Work) -> Iterator[Any]:
        """How far the page's work is (`Told`), and last what came of it."""
        page = str(request.session_hash)
        begun = self.context.works.begin(page, work)
        try:
            yield from begun.follow()
            yield begun.result()
        finally:
            self.context.works.end(page, begun)

    def _done(self, rack: Rack, data: dict[str, Any]) -> tuple[Any, ...]:
        first = data["unsteered"]["pictures"][0]
        value = {**pictures_value(data), "run": secrets.token_hex(4)}
        painter = gr.update(picture=first, ratio=ratio_of(first))
        timeline = gr.update(previews=data["previews"], steps=data["noise"])
        told = gr.update(value=rack.model_dump(mode="json"), shares=shares(rack, data), guidance=data["guidance"])
        return value, evidence_value(data), data, told, painter, timeline

    def _run(self, source: Source, rack: Rack, ask: PictureAsk, progress: Any, stop: Any) -> dict[str, Any]:
        with self.context.pool.use(source.subject) as subject:
            found = compare_pictures(
                subject,
                source.probe,
                levers_of(rack),
                ask.inputs(),
                controls=ask.controls,
                asking=ask.asking,
                previews=True,
                progress=progress,
                stop=stop,
            )
        return found | {"command": command_line(source.ref, rack, ask, probe=source.probe)}

    def _sweep(self, source: Source, rack: Rack, ask: PictureAsk, progress: Any, stop: Any) -> dict[str, Any]:
        with self.context.pool.use(source.subject) as subject:
            return sweep_pictures(
                subject,
                source.probe,
                levers_of(rack)[0],
                ask.inputs(),
                asking=ask.asking,
                progress=progress,
                stop=stop,
            )

    def stopped(self, request: gr.Request) -> Any:
        """Ask this page's work to end. Whoever follows it says so: a word of our own could come after its last."""
        return gr.skip() if self.context.works.stop(str(request.session_hash)) else {"message": "Nothing is running."}

    def command(self, source: Source, rack: Rack, form: Sequence[Any]) -> str:
        """The command line of the form as it stands."""
        return command_line(source.ref, rack, pictures_asked(form))

    def placed(self, rack_value: Any, target: Any, mask: Any, noise: Any) -> Any:
        """The rack with the mask and the interval as they are; what cannot be used yet changes nothing."""
        try:
            rack = rack_of(rack_value)
            made = placed_rack(rack, target, mask, noise)
        except WorkbenchError:
            return gr.skip()
        return gr.skip() if made == rack else made.model_dump(mode="json")

    def place_of(self, rack_value: Any, target: Any, last: Any) -> tuple[Any, Any]:
        """The mask and the interval of the lever that was chosen."""
        rows = [row for row in rack_of(rack_value).levers if row.key == target] or rack_of(rack_value).levers[:1]
        if not rows:
            return gr.skip(), gr.skip()
        ratio = ratio_of(last["unsteered"]["pictures"][0]) if isinstance(last, dict) else 1.0
        return painted(rows[0].cells, ratio), interval_shown(rows[0].noise)

    def level_noise(self, name: Any, rack_value: Any, target: Any) -> Any:
        """The timeline with the noise of the level of the levers it is for, where they have one in common."""
        try:
            noise = open_source(self.context.graphs, name).noise
            rows = [row for row in rack_of(rack_value).levers if target in (ALL, row.key)]
        except WorkbenchError:
            return gr.skip()
        found = {noise.get(row.level) for row in rows}
        return gr.update(level=found.pop() if len(found) == 1 else None)

    def targets(self, rack_value: Any, target: Any) -> Any:
        """Whose mask and interval can be set."""
        rows = rack_of(rack_value).levers
        offered = [(ALL, ALL), *((f"{row.label} ({row.key})", row.key) for row in rows)]
        return gr.update(choices=offered, value=target if target in {key for _, key in offered} else ALL)


def placed_rack(rack: Rack, target: Any, mask: Any, noise: Any) -> Rack:
    """The rack where one lever, or all, act where the painter and the timeline say.

    Raises `WorkbenchError` for a mask with nothing painted and an interval outside 0 to 1.
    """
    place = {"cells": mask_painted(mask), "noise": interval_chosen(noise)}
    rows = tuple(row.model_copy(update=place) if target in (ALL, row.key) else row for row in rack.levers)
    return Rack(levers=rows)


def swept_row(row: dict[str, Any]) -> list[str]:
    """One place of a sweep as cells of the table."""
    low, high = row["noise"]
    drift = "–" if row["drift"] is None else f"{row['drift']:.0%}"
    sizes = [f"{row['effect']:+.4f}", f"{row['chance']:+.4f}"]
    return [*sizes, f"{high:g} to {low:g}", row["point"], row["by"], drift]


def busy(told: Told) -> dict[str, Any]:
    """How far the work is, as a value of the view."""
    step = f": step {told.done} of {told.total}" if told.total else ""
    return {"busy": True, "done": told.done, "total": told.total, "message": f"{told.what}{step}"}


def ratio_of(address: str) -> float:
    """Width over height of a picture that is a PNG data address, from its header."""
    import base64

    header = base64.b64decode(address.partition(",")[2][:48])
    width, height = (int.from_bytes(header[at : at + 4], "big") for at in (16, 20))
    return width / height if height else 1.0
