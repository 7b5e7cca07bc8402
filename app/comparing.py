"""Steered against unsteered text on a graph's own subject and probe: what the Steer page runs."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from steering.levers import Lever


def compare_on_graph(subject: Any, graph: Any, levers: list[Lever], prompt: str, *, concept: str, **rest: Any) -> Any:
    """`steering.generate.compare` with the graph's probe and the concept's own examples. Imports torch."""
    from steering.contexts import contexts_of
    from steering.generate import compare

    node = graph.node(concept) if concept in graph else None
    return compare(
        subject,
        _probe(graph.meta.probe),
        levers,
        prompt,
        concept=node.label if node else "",
        contexts=contexts_of(subject, graph.examples.get(concept, [])) if node else None,
        **rest,
    )


@lru_cache(maxsize=2)
def _probe(ref: str) -> Any:
    """A probe, read once: a comparison must not wait for the disk each time."""
    from probes.hierarchy.probe import open_probe

    return open_probe(ref)
