"""What levers are taken from: a concept graph with its probe, or a probe alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from probes.artefacts import resolve
from probes.errors import WorkbenchError
from probes.hierarchy.probe import Probe, open_probe
from steering.parts import confirmed_parts

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph


@dataclass(frozen=True)
class Source:
    """A probe and, where there is one, the graph that names its concepts."""

    subject: str
    probe: Probe
    graph: ConceptGraph | None = None

    def concept(self, concept: str) -> str:
        """A concept's id, checked. Raises `WorkbenchError` where the graph, or the probe, does not have it."""
        if self.graph is not None:
            return self.graph.node(concept).id
        level, _, latent = concept.partition("/")
        if not latent.isdigit() or int(latent) >= self.probe.level(level).space.n_latents:
            raise WorkbenchError(
                "no-such-concept",
                f"There is no concept {concept[:60]!r}",
                f"level {level} has latents 0 to {self.probe.level(level).space.n_latents - 1}",
                "Write it like middle/123.",
            )
        return concept

    def parts(self, concept: str, most: int) -> dict[str, float]:
        """`confirmed_parts` of the graph; none without a graph."""
        return {} if self.graph is None else confirmed_parts(self.graph, concept, most)


def open_source(ref: str | Path) -> Source:
    """A graph, or a probe, by name or path. Raises `WorkbenchError` where it is neither."""
    from concept_graphs.graph import GRAPH_FILE, ConceptGraph

    try:
        path = resolve(ref, "graph")
    except WorkbenchError as no_graph:
        try:
            probe = opened(str(ref))
        except WorkbenchError as no_probe:
            raise (no_probe if no_probe.code != "not-found" else no_graph) from None
        return Source(probe.record.subject, probe)
    if (path / "probe.json").is_file() and not (path / GRAPH_FILE).is_file():
        probe = opened(str(ref))
        return Source(probe.record.subject, probe)
    graph = ConceptGraph.open(str(ref))
    return Source(graph.meta.subject, opened(graph.meta.probe), graph)


@lru_cache(maxsize=2)
def opened(ref: str) -> Probe:
    """A probe, read once: a comparison must not wait for the disk each time."""
    return open_probe(ref)
