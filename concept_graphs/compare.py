"""Two graphs, matched and held against each other: concepts and edges that are kept, lost and new.

Two seeds, two models, a model before and after fine-tuning. Concepts are matched one to one, level by level, by what
their dictionaries write (cosine of decoder rows), or where that says nothing, by what the graphs show of them: the
tokens of their labels and the places of their examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from concept_graphs.graph import ConceptGraph
from concept_graphs.tables import ConceptId, Edge, Node, Verdict
from concept_graphs.text import number
from probes.configs import Frozen
from probes.errors import WorkbenchError

if TYPE_CHECKING:
    from probes.hierarchy.probe import Level, Probe

By = Literal["index", "decoder", "shown"]
There = Verdict | Literal["no edge", "no concept"]
LEAST: Mapping[By, float] = {"index": 1.0, "decoder": 0.7, "shown": 0.3}


class CompareConfig(Frozen):
    """How two graphs are compared."""

    by: Literal["auto", "decoder", "shown"] = Field(
        default="auto",
        description="Match concepts by decoder rows or by what is shown of them; auto takes decoder rows where they "
        "say something.",
    )
    least: float | None = Field(
        default=None,
        description="Least similarity of a match; empty for a cosine of 0.7, or an overlap of 0.3.",
        gt=0,
        le=1,
    )
    edges: Literal["confirmed", "all"] = Field(
        default="confirmed", description="Edges to compare: those that interventions confirmed, or all proposed ones."
    )


class KeptConcept(Frozen):
    """A concept that both graphs have."""

    a: ConceptId = Field(description="Its id in the first graph.")
    b: ConceptId = Field(description="Its id in the second graph.")
    label_a: str = Field(description="Its label in the first graph.")
    label_b: str = Field(description="Its label in the second graph.")
    similarity: float = Field(description="Cosine of decoder rows, or overlap of what is shown.")


class OneSided(Frozen):
    """A concept that only one of the graphs has."""

    id: ConceptId = Field(description="Its id in its own graph.")
    label: str = Field(description="Its label.")
    undrawn: ConceptId | None = Field(
        None, description="The latent of the other probe that is like it, where that is no concept of its graph."
    )


class ComparedEdge(Frozen):
    """An edge of either graph, with the ids of its own graph, or of the first where both have it."""

    source: ConceptId = Field(description="The concept of the level below.")
    target: ConceptId = Field(description="The concept of the level above.")
    effect_a: float | None = Field(None, description="Effect in the first graph.")
    effect_b: float | None = Field(None, description="Effect in the second graph.")
    there: There = Field(
        description="What the other graph says of the pair: a verdict, no edge, or that it lacks one of the concepts."
    )


class LevelMatch(Frozen):
    """How the concepts of a level were matched."""

    a: str = Field(description="Name of the level in the first graph.")
    b: str = Field(description="Name of the level in the second graph.")
    by: By = Field(description="index: one probe; decoder: cosine of decoder rows; shown: tokens and examples.")
    kept: int = Field(description="Concepts both have.")
    lost: int = Field(description="Concepts of the first graph alone.")
    new: int = Field(description="Concepts of the second graph alone.")


class GraphComparison(Frozen):
    """What became of the first graph in the second."""

    a: str = Field(description="The first graph.")
    b: str = Field(description="The second graph.")
    levels: list[LevelMatch] = Field(description="Levels, the lowest first, and how each was matched.")
    edges: Literal["confirmed", "all"] = Field(description="Which edges are compared.")
    concept_agreement: float | None = Field(description="Concepts both have among those either has.")
    edge_agreement: float | None = Field(
        description="Edges both have among those either has, of concepts that both have; null where there are none."
    )
    kept: list[KeptConcept] = Field(description="Concepts both have.")
    lost: list[OneSided] = Field(description="Concepts of the first graph alone.")
    new: list[OneSided] = Field(description="Concepts of the second graph alone.")
    kept_edges: list[ComparedEdge] = Field(description="Edges both have.")
    lost_edges: list[ComparedEdge] = Field(description="Edges of the first graph alone.")
    new_edges: list[ComparedEdge] = Field(description="Edges of the second graph alone.")


class _Matched(NamedTuple):
    """Similarity `a b` of the concepts of a level, and by index what is like them among the other's undrawn latents."""

    by: By
    similarity: np.ndarray
    like_a: Mapping[int, str]
    like_b: Mapping[int, str]


def compare(a: ConceptGraph, b: ConceptGraph, config: CompareConfig | None = None) -> GraphComparison:
    """Match the concepts of two graphs and diff both. Levels go together by name, or else by their order.

    Raises `WorkbenchError` for graphs whose levels cannot be told which is which.
    """
    config = config or CompareConfig()
    probes = _probes(a, b)
    levels, kept, lost, new = [], list[KeptConcept](), list[OneSided](), list[OneSided]()
    for one, other in _levels(a, b):
        mine, theirs = ([n for n in g.nodes if n.level == name] for g, name in ((a, one), (b, other)))
        found = _matched(a, b, mine, theirs, (one, other), probes, config)
        pairs = assigned(found.similarity, config.least or LEAST[found.by])
        kept += [_kept(mine[i], theirs[j], float(found.similarity[i, j])) for i, j in pairs]
        taken_a, taken_b = ({pair[end] for pair in pairs} for end in (0, 1))
        lost += [_one_sided(n, found.like_a.get(n.index)) for i, n in enumerate(mine) if i not in taken_a]
        new += [_one_sided(n, found.like_b.get(n.index)) for j, n in enumerate(theirs) if j not in taken_b]
        counts = {"kept": len(pairs), "lost": len(mine) - len(pairs), "new": len(theirs) - len(pairs)}
        levels.append(LevelMatch(a=one, b=other, by=found.by, **counts))
    return GraphComparison(
        a=a.meta.name,
        b=b.meta.name,
        levels=levels,
        edges=config.edges,
        concept_agreement=_share(len(kept), len(kept) + len(lost) + len(new)),
        kept=kept,
        lost=lost,
        new=new,
        **_edges(a, b, {row.a: row.b for row in kept}, config.edges == "confirmed"),
    )


def assigned(similarity: np.ndarray, least: float) -> list[tuple[int, int]]:
    """The one-to-one matching `a b` of largest total similarity, of which pairs below `least` are no matches."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(np.where(similarity >= least, similarity, 0.0), maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if similarity[i, j] >= least]


def _levels(a: ConceptGraph, b: ConceptGraph) -> list[tuple[str, str]]:
    names_a, names_b = ([level.name for level in graph.meta.levels] for graph in (a, b))
    if set(names_a) & set(names_b):
        return [(name, name) for name in names_a if name in names_b]
    if len(names_a) != len(names_b):
        raise WorkbenchError(
            "other-levels",
            f"{a.meta.name} and {b.meta.name} cannot be compared",
            f"one has the levels {', '.join(names_a)}, the other {', '.join(names_b)}",
            "Compare graphs with levels of the same names, or with equally many.",
        )
    return list(zip(names_a, names_b, strict=True))


def _probes(a: ConceptGraph, b: ConceptGraph) -> tuple[Probe, Probe] | None:
    """Both probes; None where one is not here, or both graphs are of one."""
    from probes.hierarchy.probe import open_probe

    if _of_one(a, b):
        return None
    try:
        return open_probe(a.meta.probe), open_probe(b.meta.probe)
    except WorkbenchError:
        return None


def _of_one(a: ConceptGraph, b: ConceptGraph) -> bool:
    """Whether both graphs are of the same latents."""
    return (a.meta.probe, a.meta.representation) == (b.meta.probe, b.meta.representation)


def _matched(
    a: ConceptGraph,
    b: ConceptGraph,
    mine: Sequence[Node],
    theirs: Sequence[Node],
    names: tuple[str, str],
    probes: tuple[Probe, Probe] | None,
    config: CompareConfig,
) -> _Matched:
    if _of_one(a, b) and names[0] == names[1] and config.by == "auto":
        same = np.equal.outer([n.index for n in mine], [n.index for n in theirs]).astype(float)
        return _Matched("index", same.reshape(len(mine), len(theirs)), {}, {})
    if probes is not None and config.by != "shown":
        levels = probes[0].level(names[0]), probes[1].level(names[1])
        if levels[0].space.w_dec.shape[1] == levels[1].space.w_dec.shape[1]:
            found = _by_decoder(levels, mine, theirs, config.least or LEAST["decoder"])
            # Widths may agree where nothing else does: rows of two models are then at right angles, by chance.
            if (
                a.meta.subject == b.meta.subject
                or config.by == "decoder"
                or found.similarity.max(initial=0) >= LEAST["decoder"]
            ):
                return found
    if config.by == "decoder":
        raise WorkbenchError(
            "no-decoders",
            f"Concepts of {a.meta.name} and {b.meta.name} cannot be matched by decoder rows",
            "a probe is not here, both are one, or their dictionaries write into spaces of different width",
            "Leave the choice to auto, or match by what is shown.",
        )
    shown = [[_shown(graph, node) for node in nodes] for graph, nodes in ((a, mine), (b, theirs))]
    overlap = [[_overlap(one, other) for other in shown[1]] for one in shown[0]]
    return _Matched("shown", np.array(overlap).reshape(len(mine), len(theirs)), {}, {})


def _by_decoder(levels: tuple[Level, Level], mine: Sequence[Node], theirs: Sequence[Node], least: float) -> _Matched:
    import torch

    from probes.metrics.seed_agreement import nearest_rows

    rows = [torch.nn.functional.normalize(level.space.w_dec, dim=1) for level in levels]
    drawn = [rows[0][[n.index for n in mine]], rows[1][[n.index for n in theirs]]]

    def like(own: int, other: int) -> dict[int, str]:
        known = {n.index for n in (mine, theirs)[other]}
        if not len(drawn[own]):
            return {}
        found = zip(
            (mine, theirs)[own], *(part.tolist() for part in nearest_rows(drawn[own], rows[other])), strict=True
        )
        return {
            node.index: f"{levels[other].name}/{index}"
            for node, cosine, index in found
            if cosine >= least and index not in known
        }

    return _Matched("decoder", (drawn[0] @ drawn[1].T).numpy(), like(0, 1), like(1, 0))


def _shown(graph: ConceptGraph, node: Node) -> frozenset[tuple[object, ...]]:
    """Tokens of the label, and the places of the examples."""
    tokens = {("token", token.strip().casefold()) for token in node.label_tokens}
    texts = {("place", e.document, e.position + e.peak) for e in graph.examples.get(node.id, [])}
    pictures = {("place", p.prompt, p.seed) for p in graph.pictures.get(node.id, [])}
    return frozenset(tokens | texts | pictures)


def _overlap(one: frozenset[object], other: frozenset[object]) -> float:
    return len(one & other) / max(len(one | other), 1)


def _kept(one: Node, other: Node, similarity: float) -> KeptConcept:
    return KeptConcept(a=one.id, b=other.id, label_a=one.label, label_b=other.label, similarity=round(similarity, 6))


def _one_sided(node: Node, undrawn: str | None) -> OneSided:
    return OneSided(id=node.id, label=node.label, undrawn=undrawn)


def _edges(a: ConceptGraph, b: ConceptGraph, forth: Mapping[str, str], confirmed: bool) -> dict[str, Any]:
    """The fields of a comparison that are about edges."""
    back = {theirs: mine for mine, theirs in forth.items()}
    of_a, of_b = ({(e.source, e.target): e for e in graph.edges} for graph in (a, b))
    kept, lost, new = list[ComparedEdge](), list[ComparedEdge](), list[ComparedEdge]()
    for (source, target), edge in of_a.items():
        if edge.confirmed or not confirmed:
            other = of_b.get((forth.get(source, ""), forth.get(target, "")))
            there = _there(other, source in forth and target in forth)
            row = _compared(edge, edge, other, there)
            (kept if other is not None and (other.confirmed or not confirmed) else lost).append(row)
    for (source, target), edge in of_b.items():
        if edge.confirmed or not confirmed:
            other = of_a.get((back.get(source, ""), back.get(target, "")))
            if other is None or (confirmed and not other.confirmed):
                new.append(_compared(edge, other, edge, _there(other, source in back and target in back)))
    comparable = sum(row.there != "no concept" for row in (*lost, *new)) + len(kept)
    return {
        "kept_edges": kept,
        "lost_edges": lost,
        "new_edges": new,
        "edge_agreement": _share(len(kept), comparable),
    }


def _there(other: Edge | None, both_known: bool) -> There:
    if other is not None:
        return other.verdict
    return "no edge" if both_known else "no concept"


def _compared(named: Edge, a: Edge | None, b: Edge | None, there: There) -> ComparedEdge:
    return ComparedEdge(
        source=named.source,
        target=named.target,
        effect_a=None if a is None else a.effect,
        effect_b=None if b is None else b.effect,
        there=there,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


class Change(NamedTuple):
    """One line of a comparison for people."""

    what: str
    kind: str
    first: str
    second: str
    note: str


def changes(found: GraphComparison) -> list[Change]:
    """Every concept and edge as a line: lost and new ones before kept ones."""
    rows = [Change("concept", "lost", f"{n.id} {n.label}", n.undrawn or "", _undrawn(n)) for n in found.lost]
    rows += [Change("concept", "new", n.undrawn or "", f"{n.id} {n.label}", _undrawn(n)) for n in found.new]
    for kind, edges in (("lost", found.lost_edges), ("new", found.new_edges), ("kept", found.kept_edges)):
        for edge in edges:
            ends = f"{edge.source} → {edge.target}"
            first, second = (_effect(one) for one in (edge.effect_a, edge.effect_b))
            note = "" if kind == "kept" else f"the other graph: {edge.there}"
            named = (first, _joined(ends, second)) if kind == "new" else (_joined(ends, first), second)
            rows.append(Change("edge", kind, *named, note))
    kept = sorted(found.kept, key=lambda row: row.similarity)
    rows += [
        Change("concept", "kept", f"{n.a} {n.label_a}", f"{n.b} {n.label_b}", f"alike {n.similarity:.2f}") for n in kept
    ]
    return rows


def summary(found: GraphComparison) -> list[str]:
    """The comparison in a few lines."""
    ways = {
        "index": "by their index, both being of one probe",
        "decoder": "by the cosine of their decoder rows",
        "shown": "by their label tokens and examples",
    }
    lines = [
        f"{row.a if row.a == row.b else f'{row.a} and {row.b}'}: {row.kept} concepts kept, {row.lost} lost, "
        f"{row.new} new, matched {ways[row.by]}"
        for row in reversed(found.levels)
    ]
    counts = len(found.kept_edges), len(found.lost_edges), len(found.new_edges)
    said = "confirmed edges" if found.edges == "confirmed" else "edges"
    agree = "" if found.edge_agreement is None else f"; of concepts both have, {found.edge_agreement:.0%} agree"
    return [*lines, "{} {} kept, {} lost, {} new{}".format(counts[0], said, *counts[1:], agree)]


def _undrawn(node: OneSided) -> str:
    return f"the other probe has it as {node.undrawn}, its graph has not" if node.undrawn else ""


def _joined(ends: str, effect: str) -> str:
    return f"{ends}, {effect}" if effect else ends


def _effect(value: float | None) -> str:
    return "" if value is None else f"effect {number(value)}"
