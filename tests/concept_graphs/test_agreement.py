"""Agreement with a known grouping: planted truth is found, chance has none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from concept_graphs.agreement import agreement, clusters, coactivation, communities, favourites, joined_alike

GROUPS, EACH = 5, 12
TRUTH = [f"group {at // EACH}" for at in range(GROUPS * EACH)]


def _planted(seed: int, inside: float, across: float) -> list[tuple[int, int, float]]:
    random = np.random.default_rng(seed)
    return [
        (a, b, 1.0)
        for a in range(len(TRUTH))
        for b in range(a)
        if random.random() < (inside if TRUTH[a] == TRUTH[b] else across)
    ]


def test_planted_groups_are_found_and_their_shuffle_is_not() -> None:
    found = agreement(communities(_planted(0, 0.6, 0.02), len(TRUTH)), TRUTH)
    assert found.value > 0.9 and found.low <= found.value <= found.high and found.n == len(TRUTH)
    assert found.shuffled < 0.1


def test_chance_graphs_agree_no_better_than_shuffled() -> None:
    values = [agreement(communities(_planted(seed, 0.1, 0.1), len(TRUTH)), TRUTH) for seed in range(6)]
    assert abs(np.mean([one.value for one in values])) < 0.05
    assert sum(one.value > one.shuffled for one in values) <= 2


def test_many_groups_of_one_are_no_agreement() -> None:
    """What plain mutual information would call a good grouping."""
    alone = agreement(communities([], len(TRUTH)), TRUTH)
    assert abs(alone.value) < 0.05


def test_the_interval_covers_the_agreement_of_the_population() -> None:
    random = np.random.default_rng(0)

    def drawn(count: int) -> tuple[np.ndarray, list[str]]:
        truth = random.integers(4, size=count)
        groups = np.where(random.random(count) < 0.7, truth, random.integers(4, size=count))
        return groups, [str(one) for one in truth]

    whole = agreement(*drawn(4000)).value
    found = [agreement(*drawn(150)) for _ in range(10)]
    assert sum(one.low <= whole <= one.high for one in found) >= 8


def test_favourites_do_not_go_by_how_many_items_a_label_has() -> None:
    labels = ["many"] * 9 + ["few"]
    codes = np.zeros((10, 3))
    codes[:9, 0], codes[9, 0] = 0.5, 1.0
    codes[:9, 1], codes[9, 1] = 1.0, 0.2
    assert favourites(sparse.csr_matrix(codes), labels) == ["few", "many", ""]


def test_edges_that_join_alike() -> None:
    truth = ["a", "a", "b", "b", ""]
    found, chance = joined_alike([(0, 1, 1.0), (2, 3, 1.0), (0, 2, 1.0), (0, 4, 1.0)], truth)
    assert found.value == pytest.approx(2 / 3) and found.n == 3
    assert chance == pytest.approx(1 / 3, abs=0.1)


def test_coactivation_joins_what_goes_together_in_adjacent_levels() -> None:
    random = np.random.default_rng(0)
    hidden = (random.random((200, 2)) < 0.4).astype(float)
    codes = np.column_stack([hidden, hidden[:, ::-1], hidden]) * random.uniform(0.8, 1.2, size=(200, 6))
    edges = coactivation(sparse.csr_matrix(codes), np.array([0, 0, 1, 1, 2, 2]), 4)
    assert {(a, b) for a, b, _ in edges} == {(0, 3), (1, 2), (2, 5), (3, 4)}
    for a, b, weight in edges:
        assert weight == pytest.approx(np.corrcoef(codes[:, a], codes[:, b])[0, 1])
    assert coactivation(sparse.csr_matrix(codes), np.zeros(6, dtype=int), 4) == []


def test_clusters_are_those_of_directions() -> None:
    random = np.random.default_rng(0)
    rows = np.repeat(np.eye(GROUPS), EACH, axis=0) * random.uniform(1, 5, size=(len(TRUTH), 1))
    rows += 0.05 * random.normal(size=rows.shape)
    assert agreement(clusters(rows, GROUPS), TRUTH).value == pytest.approx(1)


def test_unknown_truth_is_left_out_and_too_little_is_refused() -> None:
    found = agreement(np.array([0, 0, 1, 1, 2]), ["a", "a", "b", "b", ""])
    assert found.n == 4 and found.value == pytest.approx(1)
    with pytest.raises(ValueError, match="four"):
        agreement(np.array([0, 0, 1]), ["a", "", "b"])
