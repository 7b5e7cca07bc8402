"""The run that a page shows: its state, buttons and log, polled only while it is active."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from app import jobs
from app.events import QUIET, TELLING
from app.watching import Seen, look
from probes.errors import WorkbenchError

PUT_IN_ADDRESS = """(slug) => { const u = new URL(location);
  if (slug) u.searchParams.set("run", slug); else u.searchParams.delete("run");
  history.replaceState(null, "", u); }"""


class RunPanel:
    """Made where it is constructed inside a `gr.Blocks`; a page that shows more of a run than this gives `more`
    components, and their values in `values`.

    `shown` is the choice of the run, and its change shows another one.
    """

    def __init__(self, prefix: str, nothing: str) -> None:
        self.nothing = nothing
        self.more: list[Any] = []
        self.size = gr.State(-1)
        self.shown = gr.Dropdown(
            [], value="", label="Run", allow_custom_value=True, interactive=True, elem_id=f"{prefix}-run"
        )
        self.line = gr.Textbox(
            nothing, show_label=False, lines=2, max_lines=4, interactive=False, elem_id=f"{prefix}-status"
        )
        with gr.Row():
            self.stop = gr.Button("Stop", size="sm", interactive=False, min_width=90, elem_id=f"{prefix}-stop")
            self.resume = gr.Button("Resume", size="sm", interactive=False, min_width=90, elem_id=f"{prefix}-resume")
        self.build_more()
        self.log = gr.Textbox(
            "", label="Log", lines=6, max_lines=12, interactive=False, elem_id=f"{prefix}-log", visible=False
        )
        self.timer = gr.Timer(1.0, active=False)

    def build_more(self) -> None:
        """Make `more` components between the buttons and the log."""

    def values(self, seen: Seen | None, size: int) -> list[Any]:
        """Values of `more` for a run, or for none; `size` is that of the metrics that are shown already."""
        return [gr.skip() for _ in self.more]

    @property
    def inputs(self) -> list[Any]:
        return [self.shown, self.size]

    @property
    def outputs(self) -> list[Any]:
        return [self.line, self.stop, self.resume, self.log, self.size, self.timer, *self.more]

    def wire(self, context: Any) -> None:
        """Connect the buttons, the timer and the choice of another run."""
        changed = self.shown.change(lambda: -1, outputs=self.size, **QUIET)
        changed.then(self.refresh, inputs=self.inputs, outputs=self.outputs, **QUIET)
        changed.then(None, inputs=self.shown, js=PUT_IN_ADDRESS, **QUIET)
        self.timer.tick(self.refresh, inputs=self.inputs, outputs=self.outputs, **QUIET)

        def stop(slug: str) -> None:
            raised(lambda: jobs.stop(jobs.find(slug)))

        def resume(slug: str) -> None:
            raised(lambda: jobs.start(jobs.find(slug), threads=context.settings.threads))

        for button, act in ((self.stop, stop), (self.resume, resume)):
            button.click(act, inputs=self.shown, **TELLING).then(
                self.refresh, inputs=self.inputs, outputs=self.outputs, **QUIET
            )

    def refresh(self, slug: str, size: int) -> list[Any]:
        """Values of `outputs`."""
        idle = [*[gr.update(interactive=False)] * 2]
        if not slug:
            hidden = gr.update(visible=False)
            return [self.nothing, *idle, hidden, -1, gr.Timer(active=False), *self.values(None, size)]
        try:
            seen = look(slug)
        except WorkbenchError as error:
            return [str(error), *idle, gr.skip(), -1, gr.Timer(active=False), *[gr.skip() for _ in self.more]]
        return [
            seen.line,
            gr.update(interactive=seen.can_stop),
            gr.update(interactive=seen.can_resume),
            gr.update(value=seen.log, visible=bool(seen.log)),
            seen.size,
            gr.Timer(active=seen.active),
            *self.values(seen, size),
        ]


def raised(act: Callable[[], Any]) -> Any:
    """What a handler does, its refusal shown as gradio shows one."""
    try:
        return act()
    except WorkbenchError as error:
        raise gr.Error(str(error), print_exception=False) from error
