"""Pick concepts; see which modules below them training showed with those parents on, and which it did not."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.components.made_panel import MadePanel, Making, Shown
from app.components.menu import Menu
from app.events import QUIET
from app.graphs import GraphLibrary
from app.pages.context import PageContext
from concept_graphs.composability import Composability, composability, in_words
from concept_graphs.support import support_of
from concept_graphs.text import shortened, visible
from probes.artefacts import resolve
from probes.errors import WorkbenchError

HEADERS = ["module", "label", "parents on", "examples", "by chance", "training"]
PICK = "Pick two concepts or more. A module is covered where a training example had all its picked parents on."


def rows_of(found: Composability) -> list[list[str]]:
    """The modules as rows of a table, missing ones first."""
    return [
        [
            module.concept,
            visible(module.label),
            ", ".join(module.parents),
            f"{module.examples:,}",
            f"{module.expected:,.1f}",
            "covered" if module.covered else "missing",
        ]
        for module in found.modules
    ]


def looked_up(library: GraphLibrary, ref: str, chosen: Any) -> tuple[Any, str] | None:
    """Rows and words about the picked concepts; a request where too few are, what is wrong where nothing can be looked
    up, and None where it has to be noted first."""
    try:
        graph = library.open(ref).graph
        support = support_of(graph)
        if support is None:
            return None
        if not isinstance(chosen, list) or len(chosen) < 2:
            return [], PICK
        found = composability(graph, support, [str(one) for one in chosen])
    except WorkbenchError as error:
        return [], str(error)
    return rows_of(found), in_words(found)


def composability_panel(context: PageContext) -> None:
    """Build it where it is called."""
    library = context.graphs
    pick: Any = None

    def view() -> Any:
        nonlocal pick
        pick = Menu([], value=[], multiselect=True, label="Combination", elem_id="compose-pick")
        return gr.Dataframe(
            [], headers=HEADERS, datatype="str", interactive=False, wrap=True, max_height=360, elem_id="compose-table"
        )

    def shown(ref: str) -> Shown | None:
        graph = library.open(ref).graph
        if support_of(graph) is None:
            resolve(graph.meta.store, "store", names_only=True)  # without its examples there is nothing to look up
            return None
        return Shown([], PICK)

    panel = MadePanel(
        "Composability: what training showed of a combination",
        view,
        elem_id="compose",
        button="Note which concepts go together in training (minutes)",
        shown=shown,
        making=lambda ref: Making("support", {"graph": ref}),
        threads=context.settings.threads,
    )
    panel.wire(context.graph_ref)

    def choices(ref: str) -> Any:
        try:
            graph = library.open(ref).graph
        except WorkbenchError:
            return gr.update(choices=[], value=[])
        levels = {level.name: at for at, level in enumerate(graph.meta.levels)}
        nodes = sorted(graph.nodes, key=lambda node: (-levels[node.level], node.index))
        return gr.update(
            choices=[(f"{node.id} · {shortened(visible(node.label), 60)}", node.id) for node in nodes], value=[]
        )

    def look(ref: str, chosen: Any) -> tuple[Any, Any]:
        found = looked_up(library, ref, chosen)
        return (gr.skip(), gr.skip()) if found is None else (gr.update(value=found[0]), gr.update(value=found[1]))

    panel.fold.expand(choices, inputs=context.graph_ref, outputs=pick, **QUIET)
    context.graph_ref.change(choices, inputs=context.graph_ref, outputs=pick, **QUIET)
    pick.change(look, inputs=[context.graph_ref, pick], outputs=[panel.view, panel.line], **QUIET)
