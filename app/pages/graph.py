"""The Graph page: the picture, the inspector of a concept, and the table that says the same."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import gradio as gr
from gradio.context import Context

from app.components.atlas_panel import atlas_panel
from app.components.composability_panel import composability_panel
from app.components.concept_card import ConceptCard
from app.components.concept_graph import ConceptGraphView
from app.components.group_list import group_rows
from app.components.lever_rack import rack_of, with_lever
from app.components.menu import Menu
from app.components.notice_bar import NoticeBar, notices
from app.components.tradeoff_panel import tradeoff_panel
from app.components.view_bar import DEFAULT_VIEW, KINDS, ViewBar
from app.desk import can_be_levers, row_for
from app.events import QUIET, TELLING
from app.facts import edge_counts, stability_rows
from app.graphs import OpenGraph
from app.pages import graph_groups
from app.pages.comparing import comparing_with, partners
from app.pages.context import PageContext
from app.pages.inspect import card
from concept_graphs.text import percent
from concept_graphs.view import ViewSpec
from probes.configs import validated
from probes.errors import WorkbenchError

CLICK = "Click a concept: the inspector shows what excites it and which edges survived intervention."
CLICK_PROPOSED = (
    "Click a concept: the inspector shows what is known of it and which edges are proposed, none of them tested."
)
USE = (
    "Press + lever to put it on the rack.",
    "Open Steer, move the slider and compare what comes out with and without it.",
)
STABILITY_HEADERS = ["levels", "what was asked", "share or correlation [95 % interval]"]
HEADERS = ["concept", "label", "level", "frequency", "label finds it", "confirmed edges"]
LONG_NAME = 440  # pixels that the name of a kept cell takes; such names differ at their ends
PUT_IN_ADDRESS = """(graph, card) => { const u = new URL(location);
  if (graph) u.searchParams.set("graph", graph); if (card && card.id) u.searchParams.set("concept", card.id);
  history.replaceState(null, "", u); }"""


def spec_of(view: Any) -> ViewSpec:
    """The toolbar's value as a view. Raises `WorkbenchError` for what the toolbar cannot send."""
    given = {**DEFAULT_VIEW, **(view if isinstance(view, dict) else {})}
    return validated(
        ViewSpec,
        {
            "search": given["search"],
            "levels": given["levels"],
            "min_effect": given["min_effect"],
            "top_k": given["top_k"],
            "only_confirmed": not given["unsupported"],
            "show_composed": given["composed"],
            "show_carried": given["carried"],
            "show_unsupported": given["unsupported"],
            "show_untested": given["unsupported"],
        },
        what="The view",
    )


def picture(opened: OpenGraph, view: Any) -> dict[str, Any]:
    """The value of the graph component: where its figure is fetched."""
    spec = spec_of(view).model_dump(mode="json", exclude_defaults=True)
    ref, text = quote(opened.ref, safe=""), quote(json.dumps(spec, sort_keys=True))
    graph = opened.graph
    label = f"{graph.meta.title}: {len(graph.nodes)} concepts on {len(graph.meta.levels)} levels"
    return {
        "url": f"/graph/view.json?ref={ref}&stamp={opened.stamp}&view={text}",
        "key": opened.ref,
        "label": label,
    }


def view_of(opened: OpenGraph) -> Any:
    """The toolbar as it starts with a graph: its levels, and the kinds of edges it can have."""
    meta = opened.graph.meta
    # Where no intervention tested anything, what was not tested is all there is to see.
    untested = opened.graph.only_proposed
    confirmed_in_two_kinds = meta.direction == "composes"
    return gr.update(
        value={**DEFAULT_VIEW, "unsupported": untested},
        levels=[level.name for level in meta.levels],
        kinds=["untested"] if untested else [*KINDS] if confirmed_in_two_kinds else ["unsupported"],
    )


def steps_of(opened: OpenGraph) -> list[str]:
    """The first steps for someone new, with this graph open."""
    graph = opened.graph
    return [CLICK_PROPOSED if graph.only_proposed else CLICK, *(USE if can_be_levers(graph) else ())]


def table_of(opened: OpenGraph) -> list[list[str]]:
    """The accessible twin of the picture, the best connected concepts first."""
    graph, counts = opened.graph, edge_counts(opened.graph)
    return [
        [
            node.id,
            node.label,
            node.level,
            percent(node.frequency, 3),
            "–" if node.detection is None else f"{node.detection:.2f}",
            str(counts[node.id]),
        ]
        for node in sorted(graph.nodes, key=lambda node: -counts[node.id])
    ]


def table_shown(opened: OpenGraph) -> dict[str, Any]:
    """The same with its headers: which edges are counted differs."""
    counted = "proposed edges" if opened.graph.only_proposed else "confirmed edges"
    return {"headers": [*HEADERS[:-1], counted], "data": table_of(opened)}


def build(context: PageContext) -> None:
    """Build the page inside the current tab."""
    library = context.graphs
    names = library.names()
    start = context.default_graph if context.default_graph in names else (names[0] if names else None)
    bar = NoticeBar(notices(tour=(CLICK, *USE)), elem_id="graph-notices")
    with gr.Row(equal_height=False, elem_classes="fc-top"):
        name = Menu(names, value=start, label="Graph", elem_id="graph-name", scale=2, min_width=LONG_NAME)
        with gr.Column(scale=5, min_width=320):
            view = ViewBar(elem_id="graph-view")
    context.graph_ref = name
    with gr.Row(equal_height=False, elem_classes="fc-main"):
        with gr.Column(scale=8, min_width=320, elem_classes="fc-panel"):
            plot = ConceptGraphView({}, elem_id="graph-plot", selected="", marked=[])
        with gr.Column(scale=5, min_width=300, elem_classes="fc-panel"):
            inspector = ConceptCard({"message": "Click a concept to see its evidence."}, elem_id="inspector")
            to_steer = gr.Button("Steer", variant="primary", size="sm", visible=False, elem_id="to-steer")
    atlas = atlas_panel(context, inspector)
    tradeoff_panel(context)
    composability_panel(context)
    groups = graph_groups.group_panel()
    with gr.Accordion("Table of all concepts", open=False):
        table = gr.Dataframe(
            headers=HEADERS,
            datatype="str",
            interactive=False,
            wrap=True,
            elem_id="graph-table",
            max_height=420,
        )
    with gr.Accordion("Would it be the same again, and which way does it read?", open=False):
        stability = gr.Dataframe(
            headers=STABILITY_HEADERS, datatype="str", interactive=False, wrap=True, elem_id="graph-stability"
        )
    other = comparing_with(context)

    def opened_graph(ref: str) -> tuple[Any, ...]:
        try:
            opened = library.open(ref)
        except WorkbenchError as error:
            return {"message": str(error)}, gr.update(), [], [], notices([str(error)]), []
        said = notices(opened.graph.meta.warnings, tour=steps_of(opened))
        view_shown = view_of(opened)
        rows = table_shown(opened), stability_rows(opened.graph)
        return picture(opened, view_shown["value"]), view_shown, *rows, said, group_rows(opened.graph, opened.groups)

    shown = [plot, view, table, stability, bar, groups]
    name.input(opened_graph, inputs=name, outputs=shown, **QUIET)

    def redraw(ref: str, value: Any) -> Any:
        try:
            return picture(library.open(ref), value)
        except WorkbenchError as error:
            return {"message": str(error)}

    view.change(redraw, inputs=[context.graph_ref, view], outputs=plot, **QUIET)

    def inspect(ref: str, rack: Any, concept: str) -> tuple[Any, Any]:
        try:
            levers = frozenset(lever.concept for lever in rack_of(rack).levers)
            return card(library.open(ref), concept, levers), gr.update(selected=concept)
        except WorkbenchError as error:
            return {"message": str(error)}, gr.update(selected="")

    def clicked(ref: str, rack: Any, event: gr.EventData) -> tuple[Any, Any]:
        return inspect(ref, rack, _text(event, "id"))

    def picked(ref: str, rack: Any, rows: Any, event: gr.SelectData) -> tuple[Any, Any]:
        row = event.row_value if isinstance(event.row_value, list) else []
        return inspect(ref, rack, str(row[0]) if row else "")

    graph_groups.wire(groups, library, context.graph_ref, view, plot, picture, _text)
    inspector.change(_chosen, inputs=inspector, outputs=groups, **QUIET)
    target = [inspector, plot]
    inputs = [context.graph_ref, context.rack]
    choosers = ((plot, "node_click"), (atlas, "node_click"), (inspector, "concept_open"), (groups, "group_open"))
    for component, event in choosers:
        made = getattr(component, event)(clicked, inputs=inputs, outputs=target, **QUIET)
        made.then(None, inputs=[name, inspector], js=PUT_IN_ADDRESS, **QUIET)
    table.select(picked, inputs=[*inputs, table], outputs=target, **QUIET)

    def rename(ref: str, rack: Any, shown_view: Any, event: gr.EventData) -> tuple[Any, Any, Any]:
        concept = _text(event, "id")
        try:
            opened = library.rename(ref, concept, _text(event, "label"))
            return inspect(ref, rack, concept)[0], picture(opened, shown_view), table_shown(opened)
        except WorkbenchError as error:
            raise gr.Error(str(error), print_exception=False) from None

    inspector.label_save(rename, inputs=[*inputs, view], outputs=[inspector, plot, table], **TELLING)

    def add_lever(ref: str, rack: Any, event: gr.EventData) -> tuple[Any, Any]:
        try:
            filled = with_lever(rack_of(rack), row_for(library.open(ref).graph, _text(event, "id")))
        except WorkbenchError as error:
            raise gr.Error(str(error), print_exception=False) from None
        value = filled.model_dump(mode="json")
        return value, inspect(ref, value, filled.levers[-1].concept)[0]

    def mark(rack: Any) -> tuple[Any, Any]:
        levers = rack_of(rack).levers
        count = f"{len(levers)} lever{'s' if len(levers) != 1 else ''}"
        told = gr.update(value=f"Steer with {count} →", visible=bool(levers))
        return gr.update(marked=[lever.concept for lever in levers]), told

    inspector.lever_add(add_lever, inputs=inputs, outputs=[context.rack, inspector], **TELLING)
    context.rack.change(mark, inputs=context.rack, outputs=[plot, to_steer], **QUIET)
    to_steer.click(lambda: gr.Tabs(selected="steer"), outputs=context.tabs, **QUIET)
    blocks = Context.root_block
    assert blocks is not None

    def arrive(request: gr.Request) -> tuple[Any, ...]:
        asked = dict(request.query_params)
        known = library.names()
        ref = asked.get("graph", start or "")
        if ref not in known:
            ref = start or ""
        if not ref:
            nothing = "There is no graph yet. Train a probe and extract one on the Train page."
            return (
                {"message": nothing},
                gr.update(),
                [],
                [],
                notices([nothing]),
                [],
                {"message": nothing},
                gr.update(),
            )
        made = opened_graph(ref)
        found = inspect(ref, None, asked["concept"]) if asked.get("concept") else None
        message = {"message": "Click a concept to see its evidence."}
        chosen = gr.update(value=made[0], selected=asked["concept"] if found else "")
        return (chosen, *made[1:], found[0] if found else message, gr.update(choices=known, value=ref))

    def offer(ref: str) -> list[Any]:
        return [gr.update(choices=library.names()), gr.update(choices=partners(library, ref))]

    context.tab.select(offer, inputs=name, outputs=[name, other], **QUIET)
    blocks.load(arrive, outputs=[*shown, inspector, name], **QUIET)


def _chosen(card_shown: Any) -> Any:
    """The concept in the inspector, for what can be done with it elsewhere."""
    value = card_shown if isinstance(card_shown, dict) else {}
    return gr.update(concept={"id": value.get("id", ""), "label": value.get("label", "")})


def _text(event: gr.EventData, key: str) -> str:
    """One field of what the browser sent, as a short string: it is outside data."""
    data = event._data if isinstance(event._data, dict) else {}
    value = data.get(key, "")
    return value[:200] if isinstance(value, str) else ""
