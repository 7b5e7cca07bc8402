"""Two graphs, matched and held against each other: concepts and edges that are kept, lost and new.

Two seeds, two models, a model before and after fine-tuning. Concepts are matched one to one, level by level, by what
their dictionaries write (cosine of decoder rows), or where that says nothing, by what the graphs show of them: the
tokens of their labels and the places of their examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from concept_graphs.comparison import (
    By,
    CompareConfig,
    ComparedEdge,
    GraphComparison,
    KeptConcept,
    LevelMatch,
    OneSided,
    There,
)
from concept_graphs.graph import ConceptGraph
from concept_graphs.tables import Edge, Node
from probes.errors import WorkbenchError

if TYPE_CHECKING:
    from probes.hierarchy.probe import Level, Probe

LEAST: Mapping[By, float] = {"index": 1.0, "decoder": 0.7, "shown": 0.3}
TURNED: There = "the other way round"


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
    untested = a.only_proposed or b.only_proposed
    edges = "all" if untested else config.edges
    return GraphComparison(
        a=a.meta.name,
        b=b.meta.name,
        notices=[*notices(a, b, levels)],
        levels=levels,
        edges=edges,
        untested=untested,
        concept_agreement=_share(len(kept), len(kept) + len(lost) + len(new)),
        kept=kept,
        lost=lost,
        new=new,
        **_edges(a, b, {row.a: row.b for row in kept}, edges == "confirmed"),
    )


def assigned(similarity: np.ndarray, least: float) -> list[tuple[int, int]]:
    """The one-to-one matching `a b` of largest total similarity, of which pairs below `least` are no matches."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(np.where(similarity >= least, similarity, 0.0), maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if similarity[i, j] >= least]


def notices(a: ConceptGraph, b: ConceptGraph, levels: Sequence[LevelMatch]) -> Iterator[str]:
    """What must be known before it is believed that concepts and edges were kept or lost."""
    shown = [row for row in levels if row.by == "shown"]
    if a.meta.subject != b.meta.subject:
        said = f"These graphs are of different subjects, {a.meta.subject} and {b.meta.subject}"
        nothing = "rows of decoders have nothing in common, so nothing can be kept by them, and lost and new say little"
        yield f"{said}: {nothing}." if shown else f"{said}, whose decoder rows lie near each other."
    dumb = [row for row in shown if not _anything_shown(a, row.a) or not _anything_shown(b, row.b)]
    if dumb:
        names = ", ".join(row.a if row.a == row.b else f"{row.a} and {row.b}" for row in dumb)
        yield f"Of the concepts of {names} nothing is shown that could be matched: none can be kept."
    untested = [graph.meta.name for graph in (a, b) if graph.only_proposed]
    if untested:
        yield f"No intervention tested any edge of {' or of '.join(untested)}: proposed edges are compared."


def _anything_shown(graph: ConceptGraph, level: str) -> bool:
    return any(_shown(graph, node) for node in graph.nodes if node.level == level)


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
    """Whether both graphs are of the same latents: of one probe or representation, or brought in from one file."""
    if a.meta.probe or a.meta.representation:
        return (a.meta.probe, a.meta.representation) == (b.meta.probe, b.meta.representation)
    same_names = a.nodes["id"] == b.nodes["id"] and a.nodes["label"] == b.nodes["label"]
    return not (b.meta.probe or b.meta.representation) and same_names


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
    of_a, of_b = _found_by(a), _found_by(b)
    kept, lost, new = list[ComparedEdge](), list[ComparedEdge](), list[ComparedEdge]()
    for edge in a.edges:
        if edge.confirmed or not confirmed:
            ends = forth.get(edge.source, ""), forth.get(edge.target, "")
            other = of_b.get(ends)
            there = _there(edge, other, ends)
            row = _compared(edge, edge, other, there)
            same = other is not None and there != TURNED and (other.confirmed or not confirmed)
            (kept if same else lost).append(row)
    for edge in b.edges:
        if edge.confirmed or not confirmed:
            ends = back.get(edge.source, ""), back.get(edge.target, "")
            other = of_a.get(ends)
            there = _there(edge, other, ends)
            if other is None or there == TURNED or (confirmed and not other.confirmed):
                new.append(_compared(edge, other, edge, there))
    comparable = sum(row.there != "no concept" for row in (*lost, *new)) + len(kept)
    return {
        "kept_edges": kept,
        "lost_edges": lost,
        "new_edges": new,
        "edge_agreement": _share(len(kept), comparable),
    }


def _found_by(graph: ConceptGraph) -> dict[tuple[str, str], Edge]:
    """Edges by their ends; inside a level either way round, since which end is named first says nothing there."""
    found = {(edge.source, edge.target): edge for edge in graph.edges}
    turned = {ends[::-1]: edge for ends, edge in found.items()} if graph.meta.joins == "within" else {}
    return {**turned, **found}


def _there(edge: Edge, other: Edge | None, ends: tuple[str, str]) -> There:
    """`ends`: of the edge, in the other graph; empty where that has no such concept."""
    if other is None:
        return "no edge" if all(ends) else "no concept"
    turned = edge.oriented and other.oriented and (other.source, other.target) != ends
    return TURNED if turned else other.verdict


def _compared(named: Edge, a: Edge | None, b: Edge | None, there: There) -> ComparedEdge:
    return ComparedEdge(
        source=named.source,
        target=named.target,
        oriented=named.oriented,
        effect_a=None if a is None else a.effect,
        effect_b=None if b is None else b.effect,
        there=there,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
