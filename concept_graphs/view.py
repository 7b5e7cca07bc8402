"""What to show of a graph: a view spec, and the concepts and edges it selects."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from concept_graphs.tables import ConceptId, LevelName
from probes.configs import Frozen

if TYPE_CHECKING:
    from concept_graphs.graph import ConceptGraph


# Why edges are hidden, in the order in which filters take them.
REASONS = (
    "of other kinds",
    "too weak or of hidden concepts",
    "weaker into their concept",
    "off the focus",
    "beyond the limit",
)


class ViewSpec(Frozen):
    """Filters and drawing options of one picture of a graph; the same spec always gives the same picture."""

    min_effect: float = Field(0.0, ge=0, description="Hide edges whose |effect| is smaller (s.d. of the target).")
    top_k: int = Field(8, ge=1, le=200, description="Keep this many strongest edges into each concept.")
    levels: tuple[LevelName, ...] = Field((), description="Levels to show; none named means all.")
    min_frequency: float = Field(
        0.0, ge=0, le=1, description="Hide concepts that are active in a smaller share of rows."
    )
    max_frequency: float = Field(
        1.0, ge=0, le=1, description="Hide concepts that are active in a larger share of rows."
    )
    focus: tuple[ConceptId, ...] = Field((), max_length=50, description="Show only these concepts and what they touch.")
    hops: int = Field(2, ge=0, le=8, description="How many levels up and down from the focus to follow.")
    search: str = Field("", max_length=200, description="Keep concepts whose label, id or tokens hold this text.")
    only_confirmed: bool = Field(False, description="Hide edges that interventions do not support.")
    show_composed: bool = Field(True, description="Show edges that the blocks in between compute.")
    show_carried: bool = Field(True, description="Show edges that the residual path explains alone.")
    show_unsupported: bool = Field(False, description="Show edges that were tested without success.")
    show_untested: bool = Field(False, description="Show proposed edges that no intervention tested.")
    max_nodes: int = Field(300, ge=1, le=2000, description="Draw at most this many concepts.")
    max_edges: int = Field(1500, ge=0, le=5000, description="Draw at most this many edges.")
    renderer: Literal["auto", "svg", "webgl"] = Field(
        "auto", description="How the browser draws; auto decides by size."
    )
    width: int = Field(1000, ge=200, le=4000, description="Width in pixels the labels are fitted to.")

    @model_validator(mode="after")
    def _band(self) -> ViewSpec:
        if self.min_frequency > self.max_frequency:
            raise ValueError("min_frequency is larger than max_frequency")
        return self

    def verdicts(self) -> frozenset[str]:
        """The verdicts whose edges may be drawn."""
        wanted = {"composed": self.show_composed, "carried": self.show_carried, "generated": True}
        if not self.only_confirmed:
            wanted |= {"unsupported": self.show_unsupported, "untested": self.show_untested}
        return frozenset(name for name, on in wanted.items() if on)


@dataclass(frozen=True)
class Shown:
    """Rows of the node and the edge table to draw, strongest edges last, and what remains hidden."""

    nodes: np.ndarray
    edges: np.ndarray
    total_nodes: int
    total_edges: int
    hidden: dict[str, int] = field(default_factory=dict)  # why: how many edges

    @property
    def caption(self) -> str:
        """The sentence that says how much of the graph is in the picture."""
        return (
            f"showing {len(self.nodes):,} of {self.total_nodes:,} concepts, "
            f"{len(self.edges):,} of {self.total_edges:,} edges"
        )

    @property
    def said(self) -> str:
        """The same, and why edges are not in it."""
        why = ", ".join(f"{count:,} {reason}" for reason, count in self.hidden.items() if count)
        return f"{self.caption}; hidden edges: {why}" if why else self.caption


def select(graph: ConceptGraph, view: ViewSpec) -> Shown:
    """Apply the filters of a view. Unknown focus ids and level names select nothing."""
    source, target = graph.ends
    allowed = _allowed_nodes(graph, view)
    rank = ranks(graph)
    verdicts = view.verdicts()
    keep = np.array([v in verdicts for v in graph.edges["verdict"]], dtype=bool)
    left = [len(keep), int(keep.sum())]
    tested = ~np.isnan(graph.edges.array("effect"))
    keep &= ~tested | (graph.strength >= view.min_effect)
    keep &= allowed[source] & allowed[target]
    edges = np.flatnonzero(keep)
    left.append(len(edges))
    edges = edges[np.argsort(-rank[edges], kind="stable")]
    edges = edges[_place_within(target[edges]) < view.top_k]
    left.append(len(edges))
    seeds = _seeds(graph, view, allowed)
    if seeds is not None:
        near = _neighbourhood(seeds, source[edges], target[edges], view.hops)
        edges = edges[near[source[edges]] & near[target[edges]]]
    left.append(len(edges))
    nodes = _chosen_nodes(graph, edges, allowed, seeds, view.max_nodes)
    inside = np.zeros(len(graph.nodes), dtype=bool)
    inside[nodes] = True
    edges = edges[inside[source[edges]] & inside[target[edges]]][: view.max_edges]
    left.append(len(edges))
    gone = (before - after for before, after in pairwise(left))
    hidden = dict(zip(REASONS, gone, strict=True))
    return Shown(np.sort(nodes), edges[::-1], len(graph.nodes), len(graph.edges), hidden)


def ranks(graph: ConceptGraph) -> np.ndarray:
    """Strength by which edges compete: |effect| in units of its own null, so that one pair of levels does
    not crowd out another; untested edges below any tested one, by |weight|."""
    weight = np.nan_to_num(np.abs(graph.edges.array("weight")), nan=0.0)
    tested = ~np.isnan(graph.edges.array("effect"))
    null = np.nan_to_num(graph.edges.array("null95"), nan=1.0)
    return np.where(tested, graph.strength / np.where(null > 0, null, 1.0), -1.0 / (1.0 + weight))


def _allowed_nodes(graph: ConceptGraph, view: ViewSpec) -> np.ndarray:
    frequency = graph.nodes.array("frequency")
    allowed = ~((frequency < view.min_frequency) | (frequency > view.max_frequency))  # an unknown one is no reason
    if view.levels:
        allowed &= np.array([name in view.levels for name in graph.nodes["level"]], dtype=bool)
    return allowed


def _seeds(graph: ConceptGraph, view: ViewSpec, allowed: np.ndarray) -> np.ndarray | None:
    """Rows of the concepts the picture is about; None when it is about the whole graph."""
    text = view.search.strip().casefold()
    if not view.focus and not text:
        return None
    hit = np.zeros(len(graph.nodes), dtype=bool)
    hit[[graph.position(key) for key in view.focus if key in graph]] = True
    if text:
        hit |= np.array([matches(graph, i, text) for i in range(len(graph.nodes))], dtype=bool)
    return np.flatnonzero(hit & allowed)


def matches(graph: ConceptGraph, row: int, text: str) -> bool:
    """Whether concept `row` holds the casefolded `text` in its id, label, label tokens or promoted tokens."""
    columns = graph.nodes
    fields = [columns["id"][row], columns["label"][row], *columns["label_tokens"][row]]
    fields += [token for token, _ in columns["promoted"][row]]
    return any(text in field.casefold() for field in fields)


def _neighbourhood(seeds: np.ndarray, source: np.ndarray, target: np.ndarray, hops: int) -> np.ndarray:
    """Ancestors and descendants of the seeds within `hops` levels, bool [nodes]; never sideways."""
    size = int(max(source.max(initial=-1), target.max(initial=-1), seeds.max(initial=-1))) + 1
    reached = np.zeros(size, dtype=bool)
    for start, end in ((source, target), (target, source)):
        front = np.zeros(size, dtype=bool)
        front[seeds] = True
        reached |= front
        for _ in range(hops):
            step = np.zeros(size, dtype=bool)
            step[end[front[start]]] = True
            front = step
            reached |= front
    return reached


def _chosen_nodes(
    graph: ConceptGraph, edges: np.ndarray, allowed: np.ndarray, seeds: np.ndarray | None, cap: int
) -> np.ndarray:
    """Ends of edges, the strongest first, after the seeds; without edges and seeds, the best detected."""
    source, target = graph.ends
    joined = np.stack([source[edges], target[edges]], axis=1).ravel()
    ordered = joined if seeds is None else np.concatenate([seeds, joined])
    if seeds is None and graph.meta.joins == "within":
        # Few latents, and one without an edge is as much a part of the representation as the others.
        ordered = np.concatenate([ordered, np.flatnonzero(allowed)])
    if not len(ordered) and seeds is None:
        score = np.nan_to_num(graph.nodes.array("detection"), nan=0.0)
        ordered = np.argsort(-score, kind="stable")
        ordered = ordered[allowed[ordered]]
    _, first = np.unique(ordered, return_index=True)
    return ordered[np.sort(first)][:cap]


def _place_within(groups: np.ndarray) -> np.ndarray:
    """For each entry, how many earlier entries have the same group."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(groups) else np.array([], dtype=int)
    sizes = np.diff(np.r_[starts, len(groups)])
    place = np.empty(len(groups), dtype=np.int64)
    place[order] = np.arange(len(groups)) - np.repeat(starts, sizes)
    return place
