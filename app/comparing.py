"""Steered against unsteered text for the Steer page, which needs no torch before the first comparison."""

from __future__ import annotations

from typing import Any

from steering.levers import Lever


def compare_on_graph(subject: Any, graph: Any, levers: list[Lever], prompt: str, **rest: Any) -> Any:
    """`steering.on_graph.compare_on_graph`, imported at first use."""
    from steering.on_graph import compare_on_graph as compare

    return compare(subject, graph, levers, prompt, **rest)
