"""The Train page: capture activations, train a probe or import one, make a graph of it, and watch the run."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import gradio as gr

from app import jobs
from app.components.command_box import command_box
from app.components.config_form import ConfigForm
from app.components.curves import QUANTITIES, curve_figure
from app.components.plot_view import PlotlyView
from app.components.run_panel import RunPanel, raised
from app.events import QUIET, TELLING
from app.pages.opening import open_when_seen
from app.suite_runs import tab_of
from app.watching import Seen, table
from probes.artefacts import Kind, available, resolve
from probes.errors import WorkbenchError
from probes.files import read_json

KINDS = {
    "Capture activations": "capture",
    "Train a probe": "train",
    "Import dictionaries": "import",
    "Make a concept graph": "graph",
    "Import a graph": "import-graph",
}
FIRST = "Train a probe"
MADE: dict[str, Kind] = {
    "capture": "store",
    "train": "probe",
    "import": "probe",
    "graph": "graph",
    "import-graph": "graph",
}
SHOWN = {*KINDS.values(), "sweep"}
NOTHING = "No run is shown. Start one, or choose one above."


def build(context: Any) -> None:
    """Build the page inside the current tab. `context.settings` gives the threads of a detached run."""
    opened = gr.State(False)
    preset = gr.State("")
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=340):
            kind = gr.Radio(list(KINDS), value=FIRST, label="What to do", elem_id="train-kind")
            rows = {name: _rows(name) for name in KINDS.values() if jobs.JOBS[name].chosen_by}
            form_place = gr.Column()
            kind.change(
                lambda value: [gr.update(visible=KINDS.get(value) == name) for name in rows],
                inputs=kind,
                outputs=list(rows.values()),
                **QUIET,
            )
        with gr.Column(scale=6, min_width=340):
            panel = _Panel()
    with form_place:
        _form(context, kind, rows, preset, opened, panel.shown)
    panel.wire(context)
    open_when_seen(context.tab, opened, panel, _choices, lambda slug: bool(slug) and not tab_of(slug))


def _choices() -> list[str]:
    """The runs this page can show, newest first."""
    return [row[0] for row in table()[0] if row[1] in SHOWN]


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _rows(kind: str) -> gr.Dropdown:
    """The choice among the rows of the registry that a job takes its config from."""
    table = jobs.JOBS[kind].choices()
    choice = gr.Dropdown(
        [(_title(name), name) for name in table],
        value=table.first,
        label=_title(table.kind),
        info=table[table.first].sentence,
        interactive=True,
        visible=KINDS[FIRST] == kind,
        elem_id=f"train-row-{kind}",
    )
    choice.change(lambda name: gr.update(info=table[name].sentence), inputs=choice, outputs=choice, **QUIET)
    return choice


def _form(
    context: Any,
    kind: gr.Radio,
    rows: dict[str, gr.Dropdown],
    preset: gr.State,
    opened: gr.State,
    shown: gr.Dropdown,
) -> None:
    changes = [kind.change, *(choice.change for choice in rows.values())]
    gr.on(changes, lambda: "", outputs=preset, **TELLING)

    @gr.render(  # type: ignore[untyped-decorator]
        inputs=[kind, preset, opened, *rows.values()],
        triggers=[opened.change, preset.change, *changes],
        queue=False,
    )
    def form(chosen: str, preset_name: str, is_open: bool, *named: str) -> None:
        if not is_open or chosen not in KINDS:
            return
        row = jobs.job(KINDS[chosen])
        recipe = dict(zip(rows, named, strict=True)).get(KINDS[chosen], "")
        if row.chosen_by and recipe not in row.choices():
            return
        config_class, presets = row.config_class(row=recipe), row.presets(row=recipe)
        if presets:
            name = preset_name if preset_name in presets else _first_preset(presets)
            choice = gr.Radio(
                list(presets),
                value=name,
                label="Size",
                info="Starting values; every one can be changed below.",
                interactive=True,
                elem_id="train-preset",
            )
            choice.change(lambda value: value, inputs=choice, outputs=preset, **TELLING)
        values = context.settings.defaults_for(config_class) | (presets[name] if presets else {})
        values.setdefault("name", _free_name(KINDS[chosen]))
        fields = ConfigForm(config_class, values, prefix="train")
        shown_first = _command(KINDS[chosen], fields, [part.value for part in fields.components])
        command = command_box(shown_first, elem_id="train-command")
        go = gr.Button("Start", variant="primary", size="md", elem_id="train-start")

        def show_command(*given: Any) -> str:
            return _command(KINDS[chosen], fields, given)

        def begin(*given: Any) -> Any:
            def started() -> str:
                config = fields.read(given)
                row.check_row(recipe, config.model_dump())
                return jobs.started(KINDS[chosen], config, threads=context.settings.threads).slug

            slug = raised(started)
            return gr.update(choices=_choices(), value=slug)

        fields.followed_by(show_command, command)
        go.click(begin, inputs=fields.components, outputs=shown, **TELLING)


def _first_preset(presets: Mapping[str, Any]) -> str:
    """The preset that is named after what the newest store was fed with, such as images; else the first."""
    stores = available("store")
    try:
        fed = read_json(resolve(stores[0], "store") / "index.json").get("fed_with") if stores else None
    except (WorkbenchError, AttributeError):
        fed = None
    return str(fed) if fed in presets else next(iter(presets))


def _free_name(kind: str) -> str:
    """A name no artefact of that kind has: a finished one is never overwritten."""
    made = MADE[kind]
    taken = set(available(made))
    return next(name for n in count(1) if (name := f"my-{made}" + (f"-{n}" if n > 1 else "")) not in taken)


def _command(kind: str, fields: ConfigForm, given: Any) -> str:
    """The command line of the form as it stands, or what is still wrong with it."""
    try:
        return jobs.command_line(kind, fields.read(list(given)))
    except WorkbenchError as error:
        return f"# {error.why}. {error.how}"


class _Panel(RunPanel):
    """The right-hand side: a run with its curves."""

    def __init__(self) -> None:
        super().__init__("train", NOTHING)

    def build_more(self) -> None:
        for pair in (QUANTITIES[:2], QUANTITIES[2:]):
            with gr.Row():
                for quantity in pair:
                    with gr.Column(min_width=280):
                        self.more.append(PlotlyView(None, elem_id=f"train-curve-{quantity.name}", visible=False))

    def values(self, seen: Seen | None) -> list[Any]:
        """The curves so far."""
        if seen is None:
            return [gr.update(value=None, visible=False) for _ in self.more]
        figures = [curve_figure(seen.rows, quantity, key=seen.slug) for quantity in QUANTITIES]
        return [gr.update(value=figure, visible=bool(figure["data"])) for figure in figures]
