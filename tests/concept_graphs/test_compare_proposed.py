"""Graphs held against each other where nothing was tested, or that have nothing to do with each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from concept_graphs.compare import compare
from concept_graphs.comparison import ComparedEdge
from concept_graphs.comparison_words import changes, summary
from concept_graphs.graph import ConceptGraph, EdgeTable
from concept_graphs.tables import Edge
from tests.fixtures.graphs import make_graph
from tests.fixtures.proposed import joined, latents


def about(graph: ConceptGraph, **changed: str) -> ConceptGraph:
    return graph.replace(meta=graph.meta.model_copy(update=changed))


def ends(rows: Sequence[ComparedEdge]) -> Iterator[tuple[str, str]]:
    return ((row.source[-1], row.target[-1]) for row in rows)


def test_proposed_edges_are_compared_where_nothing_was_tested_either_way_round() -> None:
    a = latents(joined(0, 1, False, 0.5, 0.2), joined(2, 1, True, 1, 0.5), joined(3, 4, True, 1, 0.5),
                joined(0, 4, True, 1, 0.5))  # fmt: skip
    b = latents(joined(1, 0, True, 0.5, 0.2), joined(2, 1, True, 1, 0.5), joined(4, 3, True, 1, 0.5),
                joined(2, 3, True, 1, 0.5), name="other")  # fmt: skip
    found = compare(a, b)
    assert found.edges == "all" and found.untested
    assert set(ends(found.kept_edges)) == {("0", "1"), ("2", "1")}, "an open one is no other than one with a direction"
    assert {row.there for row in found.lost_edges} == {"the other way round", "no edge"}
    assert set(ends(found.lost_edges)) == {("3", "4"), ("0", "4")}
    assert set(ends(found.new_edges)) == {("4", "3"), ("2", "3")}
    said = summary(found)
    assert said[0] == "No intervention tested any edge of kept or of other: proposed edges are compared."
    assert "5 concepts kept" in said[1] and "of the same latents" in said[1] and "probe" not in said[1]
    assert said[-1].startswith("2 proposed edges kept, 2 lost, 2 new")
    assert "latents/0 – latents/1" in [row.first for row in changes(found)]


def test_graphs_of_different_subjects_are_said_to_be_before_anything_else() -> None:
    a = make_graph(6, 4, 2)
    b = about(make_graph(6, 4, 2, seed=5), name="other", subject="bundled/emoji", probe="no-such-probe")
    first, *rest = summary(compare(a, b))
    assert first.startswith("These graphs are of different subjects, bundled/smollm2-135m and bundled/emoji")
    assert "nothing can be kept by them" in first and len(rest) == 4
    same = summary(compare(a, about(b, subject=a.meta.subject)))
    assert "different" not in "\n".join(same) and len(same) == 4


def test_latents_of_two_representations_are_not_called_the_same() -> None:
    a = latents(joined(0, 1, True, 1, 0.5))
    b = about(latents(joined(0, 1, True, 1, 0.5)), name="other", representation="another")
    found = compare(a, b)
    assert not found.kept and {row.by for row in found.levels} == {"shown"}
    assert any("nothing is shown that could be matched" in said for said in found.notices)


@pytest.mark.parametrize("same", [True, False])
def test_graphs_from_elsewhere_are_the_same_latents_only_where_they_are_named_alike(same: bool) -> None:
    edge = Edge(source="latents/0", target="latents/1", weight=1.0)
    a = latents(edge, joins="any", representation="")
    nodes = a.nodes if same else a.nodes.replace(label=[f"feature {at}" for at in range(5)])
    b = ConceptGraph(a.meta.model_copy(update={"name": "other"}), nodes, EdgeTable.from_rows([edge]))
    found = compare(a, b)
    assert (len(found.kept), len(found.kept_edges)) == ((5, 1) if same else (0, 0))
    assert ("nothing is shown" in " ".join(found.notices)) is not same
