"""Does a graph agree with a known grouping of what its concepts fire on?

Nothing here knows a subject: concepts are rows with a label of truth each, a graph is its edges. Agreement is
adjusted mutual information, in which a chance grouping has 0 however many groups it makes, beside that of the
same labels shuffled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from probes.metrics.intervals import Interval, bootstrap

DRAWS = 100

Groups = NDArray[np.int64]


class Agreement(NamedTuple):
    """Adjusted mutual information of two groupings, 1 for the same one, with its 95 % interval over concepts, and
    the 95 % quantile of the same with the truth shuffled over concepts."""

    value: float
    low: float
    high: float
    n: int
    shuffled: float


def favourites(codes: sparse.csr_matrix, labels: Sequence[str]) -> list[str]:
    """Per concept the label over whose items its mean code is largest; empty for one that never fires.

    `codes`: `item concept`, at least 0; `labels`: `item`. Labels with many items have no advantage.
    """
    names, own = np.unique(np.asarray(labels), return_inverse=True)
    chosen = sparse.csr_matrix((np.ones(len(own)), (own, np.arange(len(own)))), shape=(len(names), len(own)))
    means = np.asarray((chosen @ codes).todense()) / np.bincount(own)[:, None]
    best = means.argmax(axis=0)
    return [str(names[at]) if means[at, column] > 0 else "" for column, at in enumerate(best)]


def communities(edges: Sequence[tuple[int, int, float]], count: int, *, seed: int = 0) -> Groups:
    """Which community each of `count` concepts is in, by the Louvain method (networkx); a concept without edges is
    one of its own. `edges`: pairs with their weight, above 0."""
    import networkx

    graph = networkx.Graph()
    graph.add_nodes_from(range(count))
    graph.add_weighted_edges_from(edges)
    groups = np.zeros(count, dtype=np.int64)
    for number, members in enumerate(networkx.community.louvain_communities(graph, seed=seed)):
        groups[list(members)] = number
    return groups


def coactivation(codes: sparse.csr_matrix, level: NDArray[np.int64], count: int) -> list[tuple[int, int, float]]:
    """The `count` pairs of concepts of adjacent levels whose codes correlate most, as edges with the correlation as
    their weight; none that does not. `codes`: `item concept`; `level`: `concept`, its level's number."""
    dense = np.asarray(codes.todense())
    spread = dense - dense.mean(axis=0)
    spread /= np.maximum(np.linalg.norm(spread, axis=0), 1e-12)
    correlation = np.where(level[None] == level[:, None] + 1, spread.T @ spread, 0.0)
    best = np.argsort(-correlation, axis=None, kind="stable")[:count]
    ends = zip(*np.unravel_index(best, correlation.shape), strict=True)
    return [(int(a), int(b), float(correlation[a, b])) for a, b in ends if correlation[a, b] > 0]


def clusters(rows: NDArray[np.float64], count: int) -> Groups:
    """Rows `concept d` in `count` clusters by average linkage on the cosine (scikit-learn): no graph at all."""
    from sklearn.cluster import AgglomerativeClustering

    count = min(count, len(rows))
    found = AgglomerativeClustering(n_clusters=count, metric="cosine", linkage="average").fit_predict(rows)
    return np.asarray(found, dtype=np.int64)


def agreement(groups: Groups, truth: Sequence[str], *, seed: int = 0) -> Agreement:
    """How well groups and truth, both `concept`, agree; concepts without a truth are left out.

    The interval is over halves drawn without replacement, whose spread is to first order that of the whole: a
    bootstrap would draw a concept twice, and a concept agrees with itself. Raises `ValueError` for fewer than four
    concepts.
    """
    known = np.array([label != "" for label in truth], dtype=bool)
    groups, named = np.asarray(groups)[known], np.unique(np.asarray(truth)[known], return_inverse=True)[1]
    if len(groups) < 4:
        raise ValueError("agreement needs at least four concepts with a known truth")
    random = np.random.default_rng(seed)
    halves = [random.permutation(len(groups))[: len(groups) // 2] for _ in range(DRAWS)]
    low, high = np.percentile([_information(groups[half], named[half]) for half in halves], [2.5, 97.5])
    chance = [_information(groups, random.permutation(named)) for _ in range(DRAWS)]
    value = _information(groups, named)
    return Agreement(value, float(low), float(high), len(groups), float(np.quantile(chance, 0.95)))


def joined_alike(
    edges: Sequence[tuple[int, int, float]], truth: Sequence[str], *, seed: int = 0
) -> tuple[Interval, float]:
    """Share of edges whose ends have the same truth, over edges where both are known, and the mean share with the
    truth shuffled over the concepts that have edges. Raises `ValueError` where there is no such edge."""
    ends = np.array([(a, b) for a, b, _ in edges if truth[a] and truth[b]], dtype=np.int64).reshape(-1, 2)
    named = np.unique(np.asarray(truth), return_inverse=True)[1]
    found = bootstrap([(named[ends[:, 0]] == named[ends[:, 1]]).astype(float)])
    random, used = np.random.default_rng(seed), np.unique(ends)
    chance = []
    for _ in range(DRAWS):
        other = named.copy()
        other[used] = random.permutation(named[used])
        chance.append(np.mean(other[ends[:, 0]] == other[ends[:, 1]]))
    return found, float(np.mean(chance))


def _information(groups: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    from sklearn.metrics import adjusted_mutual_info_score

    return float(adjusted_mutual_info_score(truth, groups))
