"""Steering by a concept graph: the probe, the label and the example texts all come from the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from probes.subjects.text_autoregressive import TextAutoregressive
from steering.comparison import Comparison
from steering.contexts import contexts_of
from steering.generate import compare
from steering.levers import Lever
from steering.sources import opened

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph


def compare_on_graph(
    subject: TextAutoregressive,
    graph: ConceptGraph,
    levers: Sequence[Lever],
    prompt: str,
    *,
    concept: str = "",
    seed: int = 0,
    max_new_tokens: int = 40,
    temperature: float = 0.7,
    controls: bool = True,
) -> Comparison:
    """`steering.generate.compare` with the graph's own probe.

    `concept` is the id the controls are about: a prompt that asks for its label, and a difference of means
    over its examples. An id the graph does not have leaves those two out.
    """
    node = graph.node(concept) if concept in graph else None
    return compare(
        subject,
        opened(graph.meta.probe),
        levers,
        prompt,
        seed=seed,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        controls=controls,
        concept=node.label if node else "",
        contexts=contexts_of(subject, graph.examples.get(concept, [])) if node else None,
    )
