"""The run that a page shows: its state, buttons and log, polled only while it is active."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

import gradio as gr

from app import jobs
from app.events import QUIET, TELLING
from app.watching import Seen, look
from probes.errors import WorkbenchError

PUT_IN_ADDRESS = """(slug) => { const u = new URL(location);
  if (slug) u.searchParams.set("run", slug); else u.searchParams.delete("run");
  history.replaceState(null, "", u); }"""


class Told:
    """What a browser was last told of; one session's, kept by the server."""

    _one_at_a_time = threading.Lock()

    def __init__(self) -> None:
        self.of: Hashable = None

    def is_news(self, of: Hashable) -> bool:
        """Whether that is something else than what was told last. Of two who ask at once, one hears yes."""
        with self._one_at_a_time:
            before, self.of = self.of, of
        return before != of


class RunPanel:
    """Made where it is constructed inside a `gr.Blocks`; a page that shows more of a run than this gives `more`
    components, and their values in `values`.

    `shown` is the choice of the run, and its change shows another one. `more` is told once: looks at a run come from
    several sides (the address, the choice, the timer), and the answer to one that is late must not undo what was
    chosen or opened since.
    """

    def __init__(self, prefix: str, nothing: str) -> None:
        self.nothing = nothing
        self.more: list[Any] = []
        self.told = gr.State(Told())
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
        # Every look costs the browser some tenths of a second, whatever it brings: gradio goes through the whole page.
        self.timer = gr.Timer(2.0, active=False)

    def build_more(self) -> None:
        """Make `more` components between the buttons and the log."""

    def values(self, seen: Seen | None) -> list[Any]:
        """Values of `more` for a run, or for none."""
        return [gr.skip() for _ in self.more]

    def told_of(self, seen: Seen) -> Hashable:
        """What `values` follow from: while it stays, they are not told again."""
        return seen.slug, seen.created, seen.state, seen.size

    @property
    def inputs(self) -> list[Any]:
        return [self.shown, self.told]

    @property
    def outputs(self) -> list[Any]:
        return [self.line, self.stop, self.resume, self.log, self.timer, *self.more]

    def wire(self, context: Any) -> None:
        """Connect the buttons, the timer and the choice of another run."""
        self.shown.change(self.refresh, inputs=self.inputs, outputs=self.outputs, **QUIET)
        self.shown.change(None, inputs=self.shown, js=PUT_IN_ADDRESS, **QUIET)
        self.timer.tick(self.refresh, inputs=self.inputs, outputs=self.outputs, **QUIET)

        def stop(slug: str) -> None:
            raised(lambda: jobs.stop(jobs.find(slug)))

        def resume(slug: str) -> None:
            raised(lambda: jobs.start(jobs.find(slug), threads=context.settings.threads))

        for button, act in ((self.stop, stop), (self.resume, resume)):
            button.click(act, inputs=self.shown, **TELLING).then(
                self.refresh, inputs=self.inputs, outputs=self.outputs, **QUIET
            )

    def refresh(self, slug: str, told: Told) -> list[Any]:
        """Values of `outputs`."""
        idle = [*[gr.update(interactive=False)] * 2]
        if not slug:
            more = self._news(told, "", None)
            return [self.nothing, *idle, gr.update(visible=False), gr.Timer(active=False), *more]
        try:
            seen = look(slug)
        except WorkbenchError as error:
            return [str(error), *idle, gr.skip(), gr.Timer(active=False), *[gr.skip() for _ in self.more]]
        return [
            seen.line,
            gr.update(interactive=seen.can_stop),
            gr.update(interactive=seen.can_resume),
            gr.update(value=seen.log, visible=bool(seen.log)),
            gr.Timer(active=seen.active),
            *self._news(told, self.told_of(seen), seen),
        ]

    def _news(self, told: Told, of: Hashable, seen: Seen | None) -> list[Any]:
        """Values of `more`, where they were not told before."""
        return self.values(seen) if told.is_news(of) else [gr.skip() for _ in self.more]


def raised(act: Callable[[], Any]) -> Any:
    """What a handler does, its refusal shown as gradio shows one."""
    try:
        return act()
    except WorkbenchError as error:
        raise gr.Error(str(error), print_exception=False) from error
