"""What pages about the runs of one suite share: the form of its config with the command line beside it, and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr
from pydantic import BaseModel

from app import jobs
from app.components.command_box import command_box
from app.components.config_form import ConfigForm
from app.components.run_panel import raised
from app.events import TELLING
from app.suite_runs import SuiteRuns
from probes.errors import WorkbenchError


class SuiteForm:
    """Fields, command line and Start button, made where it is constructed inside a `gr.Blocks`."""

    def __init__(
        self,
        runs: SuiteRuns,
        config: type[BaseModel],
        values: Mapping[str, Any],
        *,
        prefix: str,
        first: Sequence[Sequence[str]],
    ) -> None:
        self.runs = runs
        self.fields = ConfigForm(config, values, prefix=prefix, first=first)
        start = [part.value for part in self.fields.components]
        self.command = command_box(self._command(*start), elem_id=f"{prefix}-command")
        self.go = gr.Button("Start", variant="primary", size="md", elem_id=f"{prefix}-start")

    def wire(
        self, context: Any, shown: gr.Dropdown, more: Callable[..., Sequence[Any]] = lambda *_: (), outputs: Any = ()
    ) -> None:
        """Keep the command line up to date, and `outputs` with what `more` makes of the fields; Start begins a run and
        shows it."""

        def follow(*given: Any) -> list[Any]:
            return [self._command(*given), *more(*given)]

        def begin(*given: Any) -> Any:
            def started() -> str:
                config = self.runs.config_of(self.runs.free_name(), self.fields.read(given))
                return jobs.started("evaluate", config, threads=context.settings.threads).slug

            slug = raised(started)
            return gr.update(choices=self.runs.names(), value=slug)

        # To gradio a list is the values of several outputs, and of one its value.
        self.fields.followed_by(follow if outputs else self._command, [self.command, *outputs])
        self.go.click(begin, inputs=self.fields.components, outputs=shown, **TELLING)

    def _command(self, *given: Any) -> str:
        """The command line of the form as it stands, or what is still wrong with it."""
        try:
            config = self.runs.config_of(self.runs.free_name(), self.fields.read(given))
            return jobs.command_line("evaluate", config)
        except WorkbenchError as error:
            return f"# {error.why}. {error.how}"


def text_table(columns: Mapping[str, str], label: str, elem_id: str, **more: Any) -> gr.Dataframe:
    """A table to read, of columns with these widths."""
    return gr.Dataframe(
        value=[],
        headers=list(columns),
        column_widths=list(columns.values()),
        datatype="str",
        type="array",
        interactive=False,
        wrap=True,
        label=label,
        show_label=True,
        max_height=460,
        elem_id=elem_id,
        **more,
    )
