"""A foldable panel of what a job makes once: shown where it is there, else a button that makes it.

Folded, it costs nothing: its content is asked for when it is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gradio as gr

from app import jobs
from app.events import QUIET
from app.watching import look
from probes.errors import WorkbenchError
from probes.runs import ACTIVE, scan_runs


class Making(NamedTuple):
    """The job that makes a panel's content: its kind, and the values of its config that differ from its defaults."""

    kind: str
    values: Mapping[str, Any]


class Shown(NamedTuple):
    """The view's value, and what is said below it."""

    value: Any
    said: str = ""


class MadePanel:
    """An accordion with a view and a line of words; while its content is not there, a button.

    `shown`: reference of a graph to the content, None where it has to be made first; it raises `WorkbenchError` where
    that cannot be. `making`: reference of a graph to the job that makes it.
    """

    def __init__(
        self,
        title: str,
        view: Callable[[], Any],
        *,
        elem_id: str,
        button: str,
        shown: Callable[[str], Shown | None],
        making: Callable[[str], Making],
        threads: int | None = None,
    ) -> None:
        self._shown, self._making, self._threads = shown, making, threads
        self._opened, self._run = gr.State(False), gr.State("")
        with gr.Accordion(title, open=False, elem_id=elem_id) as self.fold:
            self.view = view()
            self.line = gr.Textbox(
                "", show_label=False, lines=1, max_lines=20, interactive=False, visible=False, elem_id=f"{elem_id}-line"
            )
            self._button = gr.Button(button, size="sm", visible=False, elem_id=f"{elem_id}-make")
        self._timer = gr.Timer(2.0, active=False)

    def wire(self, ref: Any) -> None:
        """Follow the component that names the open graph."""
        outputs = [self.view, self.line, self._button, self._timer, self._run]
        self.fold.expand(lambda: True, outputs=self._opened, **QUIET).then(
            self._show, inputs=ref, outputs=outputs, **QUIET
        )
        self.fold.collapse(lambda: False, outputs=self._opened, **QUIET)
        ref.change(
            lambda name, opened: self._show(name) if opened else [gr.skip()] * len(outputs),
            inputs=[ref, self._opened],
            outputs=outputs,
            **QUIET,
        )
        self._button.click(self._make, inputs=ref, outputs=outputs, **QUIET)
        self._timer.tick(self._watch, inputs=[ref, self._run], outputs=outputs, **QUIET)

    def _show(self, ref: str) -> list[Any]:
        """What there is, else the run that is making it, else the button."""
        try:
            found = self._shown(ref)
            if found is not None:
                return _outputs(found.value, found.said)
            slug = _running(self._making(ref))
        except WorkbenchError as error:
            return _outputs(None, str(error))
        return self._watch(ref, slug) if slug else _outputs(None, button=True)

    def _make(self, ref: str) -> list[Any]:
        try:
            kind, values = self._making(ref)
            run = jobs.started(kind, jobs.config_for(kind, values), threads=self._threads)
        except WorkbenchError as error:
            return _outputs(None, str(error), button=True)
        return self._watch(ref, run.slug)

    def _watch(self, ref: str, slug: str) -> list[Any]:
        try:
            seen = look(slug)
        except WorkbenchError as error:
            return _outputs(None, str(error), button=True)
        if seen.state == "done":
            return self._show(ref)
        return _outputs(None, seen.line, button=not seen.active, run=slug if seen.active else "")


def _outputs(value: Any, line: str = "", *, button: bool = False, run: str = "") -> list[Any]:
    """View, line, button, timer, run; the timer ticks while there is a run."""
    return [
        gr.update(value={} if value is None else value, visible=value is not None),
        gr.update(value=line, visible=bool(line)),
        gr.update(visible=button),
        gr.Timer(active=bool(run)),
        run,
    ]


def _running(making: Making) -> str:
    """The newest run that is making this already, by its name; empty for none."""
    for run in scan_runs()[0]:
        try:
            record = run.record()
            if record.kind == making.kind and _within(making.values, record.config) and run.status().state in ACTIVE:
                return run.slug
        except (WorkbenchError, OSError):  # it vanished between the scan and now
            continue
    return ""


def _within(some: Mapping[str, Any], whole: Mapping[str, Any]) -> bool:
    """Whether a config holds these values, sections compared by what is given of them."""
    return all(
        _within(value, whole.get(name) or {}) if isinstance(value, Mapping) else whole.get(name) == value
        for name, value in some.items()
    )
