"""Scores against a known truth: published values, other libraries' answers, and cases worked by hand."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import average_precision_score, f1_score

from concept_graphs.distances import ancestor_aid, shd_pair, sid, whole_graph
from concept_graphs.score import (
    absorption_across,
    best_threshold,
    level_hits,
    matched_levels,
    pair_score,
    table_of,
    table_of_graph,
)
from probes.errors import WorkbenchError
from probes.metrics.twins import block_r2, twin_classes
from tests.fixtures.graphs import make_graph

A, B = np.zeros((3, 3), dtype=np.int8), np.zeros((3, 3), dtype=np.int8)
A[0, 1] = A[0, 2] = A[1, 2] = 1
B[0, 1] = B[2, 0] = B[2, 1] = 1
NONE = np.zeros((3, 3), dtype=np.int8)


def causal_learn_shd(true: np.ndarray, found: np.ndarray) -> int:
    from causallearn.graph.Dag import Dag
    from causallearn.graph.GraphNode import GraphNode
    from causallearn.graph.SHD import SHD

    def dag(graph: np.ndarray) -> Any:
        nodes = [GraphNode(f"X{at}") for at in range(len(graph))]
        made = Dag(nodes)
        for cause, effect in zip(*np.nonzero(graph), strict=True):
            made.add_directed_edge(nodes[cause], nodes[effect])
        return made

    return int(SHD(dag(true), dag(found)).get_shd())


def test_distances_of_two_graphs_of_three_nodes() -> None:
    """Published values (task-constraint, B3)."""
    assert shd_pair(A, B) == 2 and shd_pair(A, NONE) == 3 and shd_pair(A, A) == 0
    assert sid(A, B).mistakes == 5 and ancestor_aid(A, B).mistakes == 5
    assert sid(A, NONE).mistakes == 4 and sid(A, A).mistakes == 0 and ancestor_aid(A, A).mistakes == 0
    assert sid(A, B).share == pytest.approx(5 / 6)
    assert f1_score(A.ravel(), B.ravel()) == pytest.approx(1 / 3)


def test_shd_is_that_of_causal_learn_and_gadjid() -> None:
    import gadjid

    random = np.random.default_rng(0)
    for _ in range(12):
        graphs = []
        for _ in range(2):
            order = random.permutation(6)
            upper = np.triu(random.random((6, 6)) < 0.4, 1).astype(np.int8)
            graphs.append(np.ascontiguousarray(upper[np.ix_(order, order)]))
        assert shd_pair(*graphs) == causal_learn_shd(*graphs) == gadjid.shd(*graphs)[1]


def test_without_gadjid_and_for_cycles_one_sentence_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    cycle = np.zeros((3, 3), dtype=np.int8)
    cycle[0, 1] = cycle[1, 2] = cycle[2, 0] = 1
    for pair in ((A, cycle), (cycle, A)):
        with pytest.raises(WorkbenchError, match="lie on a cycle"):
            sid(*pair)
    monkeypatch.setitem(sys.modules, "gadjid", None)
    with pytest.raises(WorkbenchError, match="gadjid is not installed") as refused:
        ancestor_aid(A, B)
    assert "fulcrum-workbench[graphs]" in refused.value.how


def test_levels_become_one_graph_in_either_direction() -> None:
    parts = (np.array([[1, 1, 0], [0, 1, 1]], dtype=np.bool_), np.array([[1, 1]], dtype=np.bool_))
    up = whole_graph(parts)
    assert {(int(a), int(b)) for a, b in zip(*np.nonzero(up), strict=True)} == {
        (0, 3), (1, 3), (1, 4), (2, 4), (3, 5), (4, 5),
    }  # fmt: skip
    assert np.array_equal(whole_graph(parts, "generates"), up.T)
    fewer = whole_graph((parts[0] & [[True, False, True]] * 2, parts[1]))
    assert shd_pair(up, fewer) == 2 == causal_learn_shd(up, fewer)


PARTS = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=np.bool_)
SAME = (np.arange(4), np.arange(2))


def test_a_perfect_graph_scores_one_and_a_random_order_its_chance() -> None:
    perfect = pair_score(PARTS, PARTS * 1.0, PARTS, SAME)
    assert perfect[:2] == (1.0, 1.0) and perfect.chance == 0.5
    assert (perfect.precision, perfect.recall, perfect.f1, perfect.shd) == (1, 1, 1, 0)
    nothing = pair_score(PARTS, np.full((2, 4), -np.inf), np.zeros((2, 4), dtype=np.bool_), SAME)
    assert nothing.average_precision == 0.5 and (nothing.f1, nothing.shd, nothing.kept) == (0, 4, 0)


def test_edges_are_scored_as_scikit_learn_scores_them_whatever_the_latents_are_called() -> None:
    random = np.random.default_rng(1)
    parts = random.random((5, 9)) < 0.3
    table = random.normal(size=(8, 12))
    table[random.random(table.shape) < 0.3] = -np.inf
    low, high = random.permutation(12)[:9], random.permutation(8)[:5]
    found = pair_score(parts, table, table > 0.5, (low, high))
    seen = np.nan_to_num(table[np.ix_(high, low)], neginf=-99)
    assert found.average_precision == pytest.approx(average_precision_score(parts.ravel(), seen.ravel()))
    true = np.zeros(table.shape, dtype=np.bool_)
    true[np.ix_(high, low)] = parts
    assert found.f1 == pytest.approx(f1_score(true.ravel(), (table > 0.5).ravel()))
    assert found.shd == (true != (table > 0.5)).sum()
    everywhere = average_precision_score(true.ravel(), np.nan_to_num(table, neginf=-99).ravel())
    assert found.average_precision_all == pytest.approx(everywhere)


def test_a_concept_without_a_latent_costs_its_edges_and_an_extra_latents_edges_are_wrong() -> None:
    matched = (np.array([0, 1, 2, -1]), np.arange(2))
    table = np.array([[1.0, 1, 0, 1], [0, 0, 1, 0]])
    found = pair_score(PARTS, table, table > 0, matched)
    assert found.precision == 3 / 4 and found.recall == 3 / 4 and found.shd == 2
    without = pair_score(PARTS, np.where(table > 0, table, -np.inf), table > 0, matched)
    assert without.average_precision < 1 and without.average_precision_all < without.average_precision


def test_a_threshold_is_the_best_of_the_cases_it_is_chosen_on() -> None:
    table = np.array([[0.9, 0.8, 0.3, 0.1], [0.2, 0.1, 0.7, 0.6]])
    worse = np.array([[0.9, 0.5, 0.3, 0.1], [0.55, 0.1, 0.7, 0.6]])
    chosen = best_threshold([(PARTS, table, SAME), (PARTS, worse, SAME)])
    grid = np.unique(np.concatenate([table.ravel(), worse.ravel()]))
    means = {float(at): np.mean([f1_score(PARTS.ravel(), (t >= at).ravel()) for t in (table, worse)]) for at in grid}
    assert means[chosen] == max(means.values())
    assert best_threshold([(PARTS, np.full((2, 4), -np.inf), SAME)]) == np.inf


def levels(seed: int, rows: int = 400) -> tuple[list[np.ndarray], list[sparse.csr_matrix]]:
    """Two levels of 6 and 3 concepts; latents are the concepts in another order, scaled, and two that are noise."""
    random = np.random.default_rng(seed)
    truth = [(random.random((rows, n)) < 0.3) * random.lognormal(0, 0.3, (rows, n)) for n in (6, 3)]
    noise = [(random.random((rows, 2)) < 0.3) * 1.0 for _ in truth]
    order = [np.array([3, 1, 5, 0, 4, 2]), np.array([2, 0, 1])]
    learned = [
        sparse.csr_matrix(np.concatenate([extra, 2 * part[:, at]], axis=1))
        for part, extra, at in zip(truth, noise, order, strict=True)
    ]
    return [part.astype(np.float32) for part in truth], learned


def test_concepts_are_matched_within_levels_and_counted_on_their_own() -> None:
    truth, learned = levels(0)
    low, high = matched_levels(truth, learned)
    assert low.tolist() == [5, 3, 7, 2, 6, 4] and high.tolist() == [3, 4, 2]
    every = sparse.hstack(learned).tocsr()
    level_of = np.array([0] * 8 + [1] * 5)
    assert level_hits(truth, every, level_of).all()
    wrong = level_of.copy()
    wrong[low[4]], wrong[8 + high[0]] = 1, 0
    assert np.flatnonzero(~level_hits(truth, every, wrong)).tolist() == [4, 6]


def test_absorption_across_levels_sees_a_latent_that_stays_off_where_a_part_is_on() -> None:
    truth, learned = levels(1)
    parts = np.array([[1, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1]], dtype=np.bool_)
    matched = matched_levels(truth, learned)
    absorbed, gap = absorption_across(truth, learned, matched, [parts])
    assert absorbed.tolist() == [0, 0, 0] and gap.tolist() == [0, 0, 0]
    spoilt = learned[1].toarray()
    spoilt[truth[0][:, 0] > 0, matched[1][0]] = 0
    absorbed, gap = absorption_across(truth, [learned[0], sparse.csr_matrix(spoilt)], matched, [parts])
    assert absorbed.tolist() == [1, 0, 0] and gap.tolist() == [1, 0, 0]


def test_twins_are_those_with_the_same_wholes_and_a_mixed_pair_is_recovered_as_a_block() -> None:
    parts = np.array([[1, 0, 1, 0, 1], [0, 1, 0, 0, 0], [0, 1, 0, 1, 1]], dtype=np.bool_)
    assert twin_classes(parts) == [[0, 2]] and twin_classes(PARTS) == [[0, 1], [2, 3]]
    random = np.random.default_rng(0)
    truth = random.lognormal(0, 0.5, (600, 4)) * (random.random((600, 4)) < 0.4)
    turn = np.eye(4)
    turn[:2, :2] = [[1, 1], [-1, 1]]
    codes = sparse.csr_matrix(truth @ turn)
    halves = [(truth[half].astype(np.float32), codes[half]) for half in (slice(300), slice(300, None))]
    found = block_r2(halves[0], halves[1], [[0, 1], [2], [3]])
    np.testing.assert_allclose(found, 1, atol=1e-3)
    lost = sparse.csr_matrix(truth @ turn[:, :1])
    halves = [(truth[half].astype(np.float32), lost[half]) for half in (slice(300), slice(300, None))]
    half, *none = block_r2(halves[0], halves[1], [[0, 1], [2], [3]])
    assert 0.3 < half < 0.8 and none == [0, 0]


def test_a_graphs_edges_become_a_table_by_any_of_its_columns() -> None:
    graph = make_graph(seed=1)
    names = [level.name for level in graph.meta.levels][:2]
    size = 1 + max(graph.nodes["index"])
    table = table_of_graph(graph, *names, (size, size))
    mine = [e for e in graph.edges if (e.source.split("/")[0], e.target.split("/")[0]) == tuple(names)]
    tested = [e for e in mine if e.effect is not None]
    assert np.isfinite(table).sum() == len(tested) > 0
    for edge in tested:
        at = int(edge.target.split("/")[1]), int(edge.source.split("/")[1])
        assert table[at] == pytest.approx(abs(edge.effect or 0))
    listed = table_of(np.array([2]), np.array([1]), np.array([0.5]), (2, 3))
    assert listed[1, 2] == 0.5 and np.isinf(listed).sum() == 5
