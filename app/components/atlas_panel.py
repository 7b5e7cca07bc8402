"""The atlas beside the graph: the same component, the same ids, one selection."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import gradio as gr

from app.components.concept_graph import ConceptGraphView
from app.components.made_panel import MadePanel, Making, Shown
from app.events import QUIET
from app.pages.context import PageContext
from concept_graphs.atlas import atlas_of
from concept_graphs.of_probe import probe_of


def atlas_panel(context: PageContext, inspector: Any) -> ConceptGraphView:
    """Build it where it is called; its view sends `node_click` and marks the concept the inspector shows."""
    library = context.graphs

    def shown(ref: str) -> Shown | None:
        opened = library.open(ref)
        if atlas_of(probe_of(opened.graph.meta, "atlas")) is None:
            return None
        figure = {
            "url": f"/graph/atlas.json?ref={quote(opened.ref, safe='')}&stamp={opened.stamp}",
            "key": f"atlas of {opened.ref}",
            "label": "Atlas: decoder rows of all levels in the plane; the table below lists the same concepts",
        }
        return Shown(figure)

    def making(ref: str) -> Making:
        return Making("atlas", {"probe": probe_of(library.open(ref).graph.meta, "atlas")})

    panel = MadePanel(
        "Atlas: which concepts write alike",
        lambda: ConceptGraphView({}, elem_id="atlas-plot", selected="", marked=[]),
        elem_id="atlas",
        button="Make the atlas (a minute or two)",
        shown=shown,
        making=making,
        threads=context.settings.threads,
    )
    panel.wire(context.graph_ref)
    inspector.change(
        lambda card: gr.update(selected=card.get("id", "") if isinstance(card, dict) else ""),
        inputs=inspector,
        outputs=panel.view,
        **QUIET,
    )
    view: ConceptGraphView = panel.view
    return view
