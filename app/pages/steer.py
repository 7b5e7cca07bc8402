"""The Steer page: what levers come from, the rack they share, and a part each for texts, pictures and rows."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import gradio as gr

from app.components.command_box import command_box
from app.components.lever_rack import rack_of, with_lever
from app.components.menu import Menu
from app.desk import levers_of, operations, rack_from
from app.events import QUIET, TELLING
from app.pages.context import PageContext
from app.pages.steer_pictures import PicturesPart
from app.pages.steer_rows import RowsPart
from app.pages.steer_text import TextPart
from app.sources import Kind, Source, open_source, source_names
from probes.configs import validated
from probes.errors import WorkbenchError
from steering.levers import LeverSet
from steering.parts import confirmed_parts

MOST_PARTS = 4
# Hands the lever set to the browser as a file. The text comes from a text box that is never shown: the
# value of a state does not reach scripts.
DOWNLOAD = """(text) => { if (!text) return; const a = document.createElement("a");
  a.href = URL.createObjectURL(new Blob([text], {type: "application/json"})); a.download = "levers.json";
  a.click(); setTimeout(() => URL.revokeObjectURL(a.href), 1000); }"""


class SteerPage:
    """The page's components and what its handlers return."""

    def __init__(self, context: PageContext) -> None:
        self.context = context
        self.parts_of: dict[str, TextPart | PicturesPart | RowsPart] = {}
        with gr.Row(equal_height=False, elem_classes="fc-main"):
            with gr.Column(scale=5, min_width=300, elem_classes="fc-panel"):
                self._source()
                context.rack.render()
                self._file_buttons()
                self.text = TextPart(context, self.source)
                self.pictures = PicturesPart(context, self.source)
                self.rows = RowsPart(context, self.source)
                self.parts_of |= {"text": self.text, "pictures": self.pictures, "rows": self.rows}
                for part in self.parts_of.values():
                    part.build_form()
                self.command = command_box(elem_id="steer-command")
            with gr.Column(scale=8, min_width=320, elem_classes="fc-panel"):
                for part in self.parts_of.values():
                    part.build_view()
        groups = [group for part in self.parts_of.values() for group in part.groups]
        self.by_source = [context.rack, self.latents, self.level, *groups]
        self.seen = gr.State(False)

    def _source(self) -> None:
        names = source_names(self.context.graphs)
        start = f"graph/{self.context.default_graph}" if self.context.default_graph else None
        known = {name for _, name in names}
        value = start if start in known else next(iter(known), None)
        self.source = Menu(names, value=value, label="Levers from", elem_id="steer-source")
        with gr.Row(visible=False, elem_id="steer-latents") as self.latents:
            self.level = Menu([], label="Level", min_width=90, elem_id="steer-level")
            self.latent = gr.Number(0, label="Latent", precision=0, minimum=0, min_width=80, elem_id="steer-latent")
            self.add = gr.Button("+ lever", size="sm", min_width=70, elem_id="steer-add")

    def _file_buttons(self) -> None:
        with gr.Row():
            self.save = gr.Button("Save levers", size="sm", min_width=90, elem_id="levers-save")
            self.parts = gr.Button("Add parts", size="sm", min_width=80, elem_id="levers-parts")
            self.load = gr.UploadButton(
                "Load levers",
                file_types=[".json"],
                type="binary",
                size="sm",
                min_width=90,
                elem_id="levers-load",
            )
        self.as_text = gr.Textbox("", visible="hidden", label="Lever set")

    def shown(self, name: Any) -> tuple[Any, ...]:
        """Values of `by_source`: the rack's props, the row of latents, which part is seen."""
        found: Source | None = None
        kind: Kind = "text"
        try:
            found = open_source(self.context.graphs, name) if name else None
            kind = found.kind if found is not None else "text"
        except WorkbenchError as error:
            gr.Warning(str(error))
        levels = list(found.levels) if found is not None and found.graph is None else []
        # While the page is being built the first update replaces all props: so it names them all.
        rack = gr.update(
            operations=operations(kind), shares={}, concepts=found.choices() if found else {}, kind=kind, guidance=None
        )
        parts = [gr.update(visible=kind == name) for name, part in self.parts_of.items() for _ in part.groups]
        level = gr.update(choices=levels, value=levels[0] if levels else None)
        return rack, gr.update(visible=bool(levels)), level, *parts

    def arrive(self, seen: bool, name: Any, rack: Any, *forms: Any) -> tuple[Any, ...]:
        """What can be steered with by now; and when the tab is first seen, all that follows from what is chosen."""
        offered = gr.update(choices=source_names(self.context.graphs))
        if seen:
            return True, offered, gr.skip(), gr.skip(), *[gr.skip() for _ in self.by_source]
        return True, offered, self.command_for(name, rack, *forms), self.text.offer(name), *self.shown(name)

    def added(self, name: Any, rack: Any, level: Any, latent: Any) -> Any:
        """The rack with a lever on a latent that was named by its number."""
        try:
            row = open_source(self.context.graphs, name).row(f"{level}/{int(latent or 0)}")
            return with_lever(rack_of(rack), row).model_dump(mode="json")
        except (WorkbenchError, ValueError) as error:
            raise gr.Error(str(error), print_exception=False) from None

    def with_parts(self, name: Any, rack: Any) -> Any:
        """The rack with the confirmed parts of its concepts, each moved by its share of the strongest effect."""
        try:
            source, filled = open_source(self.context.graphs, name), rack_of(rack)
            there = {row.concept for row in filled.levers}
            for row in filled.levers:
                parts = confirmed_parts(source.graph, row.concept, MOST_PARTS) if source.graph else {}
                for concept, share in parts.items():
                    if concept not in there:
                        there.add(concept)
                        moved = {"operation": row.operation, "strength": round(row.strength * share, 3)}
                        place = {key: getattr(row, key) for key in ("where", "branch", "noise", "cells", "limit")}
                        filled = with_lever(filled, source.row(concept).model_copy(update=moved | place))
        except WorkbenchError as error:
            raise gr.Error(str(error), print_exception=False) from None
        if len(there) == len(rack_of(rack).levers):
            gr.Info("No edge to a part of these concepts was confirmed.")
        return filled.model_dump(mode="json")

    def command_for(self, name: Any, rack: Any, *forms: Any) -> str:
        """The command line of the forms as they stand, or what is wrong with them."""
        try:
            source = open_source(self.context.graphs, name)
            part, given = self.parts_of[source.kind], iter(forms)
            form = {name: list(islice(given, len(one.form))) for name, one in self.parts_of.items()}
            return part.command(source, rack_of(rack), form[source.kind])
        except WorkbenchError as error:
            return f"# {error.why}"

    def as_file(self, name: Any, rack: Any) -> str:
        """The lever set as JSON text; kept in the data folder's form."""
        try:
            probe = open_source(self.context.graphs, name).probe
            levers = LeverSet(probe=probe, levers=tuple(levers_of(rack_of(rack))))
        except WorkbenchError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return json.dumps(levers.model_dump(mode="json"), indent=1, allow_nan=False)

    def from_file(self, content: Any, name: Any) -> Any:
        """A lever set from a file a person chose."""
        try:
            levers = validated(LeverSet, _json_of(content), what="The lever set")
            source = open_source(self.context.graphs, name)
            if levers.probe != source.probe:
                gr.Warning("These levers were made with another probe; its latents may mean something else.")
            return rack_from(levers.levers, source.row).model_dump(mode="json")
        except WorkbenchError as error:
            raise gr.Error(str(error), print_exception=False) from None


def build(context: PageContext) -> None:
    """Build the page inside the current tab."""
    page = SteerPage(context)
    rack = context.rack
    for part in page.parts_of.values():
        part.wire()
    page.add.click(page.added, inputs=[page.source, rack, page.level, page.latent], outputs=rack, **TELLING)
    page.parts.click(page.with_parts, inputs=[page.source, rack], outputs=rack, **TELLING)
    page.save.click(page.as_file, inputs=[page.source, rack], outputs=page.as_text, **TELLING).success(
        None, inputs=page.as_text, js=DOWNLOAD, **QUIET
    )
    page.load.upload(page.from_file, inputs=[page.load, page.source], outputs=rack, **TELLING)
    forms = [field for part in page.parts_of.values() for field in part.form]
    asked = [page.source, rack, *forms]
    changes = [rack.change, page.source.change, *(field.change for field in forms)]
    gr.on(changes, page.command_for, asked, page.command, trigger_mode="always_last", **QUIET)
    page.source.change(page.shown, inputs=page.source, outputs=page.by_source, **TELLING)
    context.graph_ref.change(
        lambda ref: gr.update(value=f"graph/{ref}", choices=source_names(context.graphs)) if ref else gr.skip(),
        inputs=context.graph_ref,
        outputs=page.source,
        **QUIET,
    )
    context.tab.select(
        page.arrive,
        inputs=[page.seen, *asked],
        outputs=[page.seen, page.source, page.command, page.text.ready, *page.by_source],
        **TELLING,
    )


def _json_of(content: Any) -> Any:
    try:
        if not isinstance(content, bytes) or len(content) > 2**20:
            raise ValueError
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise WorkbenchError(
            "bad-levers", "The file is no lever set", "it is not JSON of at most 1 MB", "Choose a file saved here."
        ) from None
