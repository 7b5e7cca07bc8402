"""The atlas of an open graph as the browser sees it."""

from __future__ import annotations

from typing import Any

from app.graphs import OpenGraph
from concept_graphs.atlas import atlas_of
from concept_graphs.atlas_figure import atlas_figure
from concept_graphs.of_probe import probe_of
from probes.errors import WorkbenchError


def atlas_json(opened: OpenGraph, width: int) -> dict[str, Any]:
    """The figure of a graph's atlas. Raises `WorkbenchError` where its probe is gone or has none."""
    probe = probe_of(opened.graph.meta, "atlas")
    found = atlas_of(probe)
    if found is None:
        raise WorkbenchError(
            "no-atlas",
            f"The graph {opened.ref} has no atlas",
            f"none was made of its probe {probe}",
            f"Make it on the Graph page, or with: fulcrum atlas {probe}",
        )
    return atlas_figure(opened.graph, found, max(200, min(4000, width)))
