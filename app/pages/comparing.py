"""The part of the Graph page that holds the open graph against another one."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.components.menu import Menu
from app.graphs import GraphLibrary
from app.pages.context import PageContext
from concept_graphs.compare import compare
from concept_graphs.comparison import CompareConfig
from concept_graphs.comparison_words import changes, summary
from probes.errors import WorkbenchError

PRIVATE: dict[str, Any] = {"api_visibility": "private"}
HEADERS = ["", "", "in the open graph", "in the other", "note"]
MARKS = {"kept": "= kept", "lost": "− lost", "new": "+ new"}
MOST = 500


def comparing_with(context: PageContext) -> gr.Dropdown:
    """Build it inside the page; the open graph is what `context.graph_ref` names. Gives the choice of its partner."""
    library = context.graphs
    with gr.Accordion("Compare with another graph", open=False):
        with gr.Row():
            offered = partners(library, context.graph_ref.value or "")
            other = Menu(offered, value=None, label="Other graph", elem_id="compare-name", scale=2)
            edges = gr.Radio(["confirmed", "all"], value="confirmed", label="Edges", elem_id="compare-edges", scale=1)
        said = gr.Textbox(label="What became of it", interactive=False, lines=4, elem_id="compare-said")
        table = gr.Dataframe(
            headers=HEADERS, datatype="str", interactive=False, wrap=True, elem_id="compare-table", max_height=420
        )

    def answer(ref: str, name: str | None, which: str) -> tuple[str, list[list[str]]]:
        return compared(library, ref, name or "", all_edges=which == "all")

    def reopened(ref: str, name: str | None, which: str) -> tuple[Any, str, list[list[str]]]:
        offered = partners(library, ref)
        kept = name if name in offered else None
        return gr.update(choices=offered, value=kept), *answer(ref, kept, which)

    for trigger in (other, edges):
        trigger.input(answer, [context.graph_ref, other, edges], [said, table], **PRIVATE)
    context.graph_ref.change(reopened, [context.graph_ref, other, edges], [other, said, table], **PRIVATE)
    return other


def partners(library: GraphLibrary, ref: str) -> list[str]:
    """The graphs that the open one can be held against: every one but itself."""
    return [name for name in library.names() if name != ref]


def compared(library: GraphLibrary, ref: str, other: str, *, all_edges: bool = False) -> tuple[str, list[list[str]]]:
    """What became of a graph in another: lines that say it, and rows of the table. One sentence and no rows for a
    graph that cannot be compared; nothing where one of the two is not chosen, or both are one."""
    if not ref or not other or ref == other:
        return "", []
    config = CompareConfig(edges="all" if all_edges else "confirmed")
    try:
        found = compare(library.open(ref).graph, library.open(other).graph, config)
    except WorkbenchError as error:
        return str(error), []
    rows = changes(found)
    more = [f"The first {MOST} of {len(rows):,} changes are below."] if len(rows) > MOST else []
    command = f"fulcrum graph compare {ref} {other}" + (" --edges all" if all_edges else "")
    lines = [*summary(found), *more, f"The same on the command line: {command}"]
    return "\n".join(lines), [[row.what, MARKS[row.kind], *row[2:]] for row in rows[:MOST]]
