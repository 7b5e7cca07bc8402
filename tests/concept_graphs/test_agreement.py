"""Agreement of a graph with known truth: on planted communities, and against scikit-learn's own numbers."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import normalized_mutual_info_score

from concept_graphs.agreement import (
    ALONE,
    Joined,
    Known,
    advantage,
    agreement,
    clusters,
    communities,
    correlated,
    dealt_anew,
    information,
    partition,
    preferred,
)

GROUPS, PER_LEVEL, ITEMS = 4, 3, 40


def planted(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, Known]:
    """Codes of 24 concepts on two levels: six of each group, on where a picture is of it; group and level of each."""
    random = np.random.default_rng(seed)
    item = np.repeat(np.arange(ITEMS), 3)
    group, style = item % GROUPS, np.tile(np.arange(3), ITEMS)
    own = np.tile(np.repeat(np.arange(GROUPS), PER_LEVEL), 2)
    level = np.repeat([0, 1], GROUPS * PER_LEVEL)
    on = (group[:, None] == own[None]) & (random.random((len(item), len(own))) < 0.8)
    codes = on * random.uniform(0.5, 2, on.shape) + 0.05 * random.random(on.shape)
    return codes, own, level, Known(item, {"group": group, "style": style})


def joined(pairs: list[tuple[int, int]]) -> Joined:
    source, target = np.array(pairs).T
    return Joined(source, target, np.ones(len(pairs)))


def test_information_is_that_of_scikit_learn_and_weights_are_repetitions() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        first, second = random.integers(5, size=60), random.integers(7, size=60)
        weight = random.integers(4, size=60)
        assert np.isclose(information(first, second), normalized_mutual_info_score(first, second))
        repeated = normalized_mutual_info_score(first.repeat(weight), second.repeat(weight))
        assert np.isclose(information(first, second, weight.astype(float)), repeated)
    assert information(np.zeros(9, dtype=int), np.zeros(9, dtype=int)) == 0


def test_communities_are_what_edges_hold_together() -> None:
    found = communities(8, joined([(0, 1), (1, 2), (0, 2), (4, 5), (5, 6)]))
    assert found[3] == found[7] == ALONE
    assert len({found[0], found[1], found[2]}) == len({found[4], found[5], found[6]}) == 1 and found[0] != found[4]
    assert (communities(8, joined([(0, 1), (4, 5)])) == communities(8, joined([(0, 1), (4, 5)]))).all()


def test_a_planted_graph_agrees_with_its_groups_and_not_with_styles() -> None:
    train, own, level, _ = planted(0)
    held, _, _, known = planted(1)
    pairs = [(a, b) for a in np.nonzero(level == 0)[0] for b in np.nonzero(level == 1)[0] if own[a] == own[b]]
    member = communities(len(own), joined(pairs))
    found = partition(held, member, train)
    value, low, high, n, _ = agreement(found, known, "group")
    assert value > 0.8 and low <= value <= high and n == ITEMS
    assert agreement(found, known, "style").value < 0.05
    dealt = dealt_anew(member, held, train, known.labels["group"], draws=50)
    assert np.quantile(dealt, 0.95) < low and len(np.unique(dealt)) > 20
    elsewhere = partition(held, member[np.random.default_rng(0).permutation(len(member))], train)
    assert advantage(found, elsewhere, known, "group").low > 0
    assert advantage(found, found, known, "group")[:3] == (0, 0, 0)


def test_the_baselines_find_what_is_planted_too() -> None:
    """They are no straw men: where codes say it all, they say it too."""
    train, own, level, _ = planted(0)
    held, _, _, known = planted(1)
    edges = correlated(train, level, GROUPS * PER_LEVEL**2)
    assert (own[edges.source] == own[edges.target]).mean() > 0.9
    assert (level[edges.source] == 0).all() and (level[edges.target] == 1).all()
    assert (np.diff(edges.weight) <= 0).all()
    together = communities(len(own), edges)
    assert agreement(partition(held, together, train), known, "group").value > 0.7
    grouped = clusters(train, GROUPS)
    assert np.isclose(information(grouped, own), 1)
    assert (preferred(held, known.labels["group"]) == own).all()


def test_nothing_joined_says_nothing() -> None:
    train, own, _, known = planted(0)
    alone = np.full(len(own), ALONE)
    assert agreement(partition(train, alone, train), known, "group")[:3] == (0, 0, 0)


def test_intervals_hold_their_value_and_are_as_wide_as_samples_differ() -> None:
    """A bootstrap interval of mutual information lies above the value: things drawn twice agree with themselves."""
    random = np.random.default_rng(3)
    values, widths = [], []
    for _ in range(150):
        item = np.repeat(np.arange(60), 2)
        labels = random.integers(4, size=60)[item]
        found = np.where(random.random(60)[item] < 0.5, labels, random.integers(4, size=60)[item])
        value, low, high, n, _ = agreement(found, Known(item, {"group": labels}), "group")
        assert low < value < high and n == 60
        values.append(value)
        widths.append((high - low) / 2 / 1.96)
    assert 0.7 < np.mean(widths) / np.std(values) < 1.5
