"""What the picture of a graph says of a concept or an edge under the pointer, escaped, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from concept_graphs import ring
from concept_graphs.text import esc_plotly, number, with_interval

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph
    from concept_graphs.tables import Edge, Node

DONE = {"activate": "giving", "mean": "averaging"}  # by intervention; else removing


def node_hover(graph: ConceptGraph, node: Node, group: str = "") -> str:
    lines = [f"<b>{esc_plotly(node.label)}</b>", esc_plotly(node.id)]
    if group:
        lines.append(f"in the group {esc_plotly(group)}")
    if node.frequency is not None:
        lines.append(f"active in {number(100 * node.frequency)} % of rows, typical size {number(node.typical)}")
    if node.deviation is not None:
        lines.append(f"standard deviation {number(node.deviation)} over held-out rows")
    if node.follows is not None:
        lines.append(f"matches factor {esc_plotly(node.follows.factor, 28)}, MCC {number(node.follows.mcc)}")
    if node.detection is not None:
        score = with_interval(node.detection, node.detection_low, node.detection_high)
        lines.append(f"detection {score}, n = {node.detection_n:,}")
    if node.promoted:
        tokens = " ".join(esc_plotly(token, 16) for token, _ in node.promoted[:5])
        lines.append(f"promotes {tokens}")
    up, down = len(graph.parents(node.id)), len(graph.children(node.id))
    lines.append(f"{up + down} proposed edges" if ring.is_ring(graph) else f"{up} edges up, {down} down")
    return "<br>".join(lines)


def edge_hover(graph: ConceptGraph, edge: Edge) -> str:
    first = (edge.source, edge.target) if graph.meta.direction == "composes" else (edge.target, edge.source)
    ends = [esc_plotly(graph.node(key).label, 28) for key in first]
    if ring.is_ring(graph):
        return "<br>".join([f"<b>{ends[0]} {'→' if edge.oriented else '–'} {ends[1]}</b>", *ring.edge_said(edge)])
    lines = [f"<b>{ends[0]} → {ends[1]}</b>", edge.verdict]
    if edge.effect is not None:
        effect = with_interval(edge.effect, edge.effect_low, edge.effect_high)
        along = edge.state is not None or edge.inside is not None
        done = DONE.get(graph.meta.intervention, "removing")
        removed = f"{done} the higher concept changes the lower" if along else f"effect of {done} it"
        lines.append(f"{removed} {effect} s.d., n = {edge.n}")
        lines.append(f"null: 95 % below {number(edge.null95)}")
    if edge.held is not None:
        lines.append(f"path held {with_interval(edge.held, edge.held_low, edge.held_high)}")
    if edge.state is not None:
        lines.append(f"by the sampler state alone {with_interval(edge.state, edge.state_low, edge.state_high)}")
    if edge.inside is not None:
        lines.append(f"inside single passes {with_interval(edge.inside, edge.inside_low, edge.inside_high)}")
    return "<br>".join(lines)
