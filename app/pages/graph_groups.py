"""The groups on the Graph page: proposed, made, named and changed; kept as the user's own file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from app.components.group_list import GroupList, group_rows
from app.events import TELLING
from app.graphs import GraphLibrary, OpenGraph
from concept_graphs.group_proposals import decoder_rows, propose_groups
from concept_graphs.groups import Groups
from probes.errors import WorkbenchError

Field = Callable[[gr.EventData, str], str]


def group_panel() -> GroupList:
    """The list in its accordion, empty until a graph is opened."""
    with gr.Accordion("Groups of concepts", open=False, elem_id="graph-groups-panel"):
        return GroupList([], elem_id="graph-groups", concept={})


def _changes(text: Field) -> dict[str, Callable[[OpenGraph, gr.EventData], Groups]]:
    """Event to the change it asks for."""

    def known(opened: OpenGraph, event: gr.EventData) -> str:
        return opened.graph.node(text(event, "id")).id

    def proposed(opened: OpenGraph) -> Groups:
        return propose_groups(opened.graph, decoder_rows(opened.graph))

    return {
        "group_rename": lambda opened, event: opened.groups.renamed(text(event, "key"), text(event, "name")),
        "group_add": lambda opened, event: opened.groups.joined(text(event, "key"), known(opened, event)),
        "group_remove": lambda opened, event: opened.groups.left(text(event, "key"), text(event, "id")),
        "group_delete": lambda opened, event: opened.groups.without(text(event, "key")),
        "group_new": lambda opened, event: opened.groups.with_new(
            opened.graph.node(known(opened, event)).label or known(opened, event), [known(opened, event)]
        ),
        "groups_propose": lambda opened, _: opened.groups.with_proposals(proposed(opened)),
    }


def wire(
    panel: GroupList,
    library: GraphLibrary,
    ref: Any,
    view: Any,
    plot: Any,
    picture: Callable[[OpenGraph, Any], dict[str, Any]],
    text: Field,
) -> None:
    """Connect the list: each change is kept, and list and picture follow."""

    def handler(change: Callable[[OpenGraph, gr.EventData], Groups]) -> Callable[..., tuple[Any, Any]]:
        def handle(name: str, shown: Any, event: gr.EventData) -> tuple[Any, Any]:
            try:
                opened = library.regroup(name, lambda found: change(found, event))
            except WorkbenchError as error:
                raise gr.Error(str(error), print_exception=False) from None
            return gr.update(value=group_rows(opened.graph, opened.groups)), picture(opened, shown)

        return handle

    for event, change in _changes(text).items():
        getattr(panel, event)(handler(change), inputs=[ref, view], outputs=[panel, plot], **TELLING)
