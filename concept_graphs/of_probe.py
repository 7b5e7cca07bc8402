"""What can be had of a graph with a probe only: a representation's latents, or a file from elsewhere, have none."""

from __future__ import annotations

from concept_graphs.schema import GraphMeta
from probes.errors import WorkbenchError


def probe_of(meta: GraphMeta, what: str, how: str = "Open a graph that was extracted with a probe.") -> str:
    """The probe a graph was extracted with. Raises `WorkbenchError` where it has none: then it has no `what`, such as
    "atlas"."""
    if not meta.probe:
        raise WorkbenchError("no-probe", f"The graph {meta.name} has no {what}", why_none(meta), how)
    return meta.probe


def why_none(meta: GraphMeta) -> str:
    """Why a graph has no probe."""
    if meta.representation:
        return "its latents are a representation's, which encodes what is seen and has no probe of a subject"
    return "it came from another tool's file, without the dictionaries its concepts are latents of"
