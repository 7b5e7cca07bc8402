"""Whether a suite can measure what it is told to: asked before a run is made, so nothing large is opened."""

from __future__ import annotations

from typing import Literal

from concept_graphs.graph import ConceptGraph
from concept_graphs.of_probe import why_none
from probes.artefacts import resolve
from probes.errors import WorkbenchError
from probes.subjects.loading import kind_of

Medium = Literal["text", "pictures"]
MEDIA: dict[str, Medium] = {"text_autoregressive": "text", "image_diffusion": "pictures"}


def probed(ref: str, medium: Medium | None = None) -> None:
    """Raise `WorkbenchError` unless a graph has the probe it was made of, and its subject makes what is asked for."""
    meta = ConceptGraph.open(ref).meta
    if not meta.probe:
        how = "Name a graph made of a probe."
        raise WorkbenchError("no-probe", f"The graph {ref} cannot be measured", why_none(meta), how)
    resolve(meta.probe, "probe")
    found = MEDIA.get(kind_of(meta.subject))
    if medium is not None and found != medium:
        why = f"its subject {meta.subject} makes {found or 'something else'}, and this suite measures {medium}"
        raise WorkbenchError("wrong-medium", f"The graph {ref} does not suit", why, f"Name a graph of {medium}.")
