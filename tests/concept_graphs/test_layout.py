from __future__ import annotations

import numpy as np
import pytest

from concept_graphs.layout import layered, storeys
from tests.fixtures.graphs import make_graph


def crossings(x: np.ndarray, source: np.ndarray, target: np.ndarray) -> int:
    """Pairs of edges whose ends are in opposite order (one pair of levels)."""
    a = np.sign(x[source][:, None] - x[source][None])
    b = np.sign(x[target][:, None] - x[target][None])
    return int((a * b < 0).sum()) // 2


def shuffled_ladder(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A ladder i to i, i to i+1, with the upper names shuffled: it can be drawn without crossings."""
    order = np.random.default_rng(seed).permutation(n)
    source = np.concatenate([np.arange(n), np.arange(n - 1)])
    target = n + np.concatenate([order, order[1:]])
    return np.repeat([0, 1], n), source, target


@pytest.mark.parametrize("seed", range(3))
def test_sweeps_untangle_a_ladder(seed: int) -> None:
    level, source, target = shuffled_ladder(24, seed)
    x, _ = layered(level, source, target, np.ones(len(source)), 2)
    start = np.concatenate([np.arange(24), np.arange(24)]).astype(float)
    assert crossings(x, source, target) < 0.2 * crossings(start, source, target)


def test_heavy_edges_decide_the_order() -> None:
    level = np.array([0, 0, 1, 1])
    source, target = np.array([0, 0, 1, 1]), np.array([2, 3, 2, 3])
    x, _ = layered(level, source, target, np.array([0.1, 5.0, 5.0, 0.1]), 2)
    assert np.sign(x[0] - x[1]) == np.sign(x[3] - x[2])


def test_layout_is_deterministic_bounded_and_layered() -> None:
    graph, again = make_graph(90, 40, 9, seed=3), make_graph(90, 40, 9, seed=3)
    x, y = graph.nodes.array("x"), graph.nodes.array("y")
    assert graph == again
    assert x.min() >= 0 and x.max() <= 1 and y.min() >= 0 and y.max() <= 1
    tops = [y[graph.level_index == k].max() for k in range(3)]
    bottoms = [y[graph.level_index == k].min() for k in range(3)]
    assert tops[0] < bottoms[1] and tops[1] < bottoms[2]
    assert len(set(zip(x, y, strict=True))) == len(graph.nodes)


@pytest.mark.parametrize(("size", "rows"), [(1, 1), (60, 1), (61, 2), (180, 3), (1000, 4)])
def test_a_crowded_level_gets_sub_rows(size: int, rows: int) -> None:
    level = np.concatenate([np.zeros(size, int), np.ones(1, int)])
    y = storeys(level, np.linspace(0, 1, size + 1))
    assert len(set(y[:size].round(6))) == rows


def test_degenerate_graphs_are_placed() -> None:
    none = np.array([], dtype=np.int64)
    x, y = layered(none, none, none, np.array([]), 3)
    assert len(x) == len(y) == 0
    x, y = layered(np.zeros(5, int), none, none, np.array([]), 1)
    assert np.isfinite(x).all() and np.isfinite(y).all() and len(set(x)) == 5
