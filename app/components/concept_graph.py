"""The clickable picture of a concept graph."""

from __future__ import annotations

from typing import ClassVar

from app.components.base import Drawn


class ConceptGraphView(Drawn):
    """Value: `{url, key, label}`: where the figure is fetched, what keeps zoom and pan, what is read out.

    Props: `selected` (the id of one concept, ringed, with its edges), `marked` (ids that are levers).
    Event: `node_click` with `{id, shift}`. Its content is outside data: look the id up before use.
    """

    source: ClassVar[str] = "concept_graph"
    needs_plotly: ClassVar[bool] = True
