"""How far a graph's communities agree with what is known of the pictures: their group, their subgroup, their style.

Concepts joined by confirmed edges form communities (Louvain). A picture belongs to the community whose concepts are
on in it beyond what they are on average, and the partition of pictures that follows is held against each known kind of
label. The same rule turns any other grouping of latents into a partition: of a co-activation graph, of clusters, or
of the same concepts dealt out anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from probes.metrics.intervals import Interval

NORMAL95 = 1.96
ALONE = -1  # the community of a concept that no edge joins


class Known(NamedTuple):
    """What is known of pictures: `item` numbers the thing that each shows, `labels` are numbers by kind, `picture`."""

    item: np.ndarray
    labels: Mapping[str, np.ndarray]


class Joined(NamedTuple):
    """Edges of a graph whose ends are numbers of concepts, `edge`, and how much each counts."""

    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray


def communities(count: int, edges: Joined, *, seed: int = 0) -> np.ndarray:
    """The community of each of `count` concepts, numbered from 0; `ALONE` where it is the end of no edge."""
    import networkx

    graph = networkx.Graph()
    for source, target, weight in zip(*(part.tolist() for part in edges), strict=True):
        graph.add_edge(source, target, weight=weight + graph.get_edge_data(source, target, {"weight": 0.0})["weight"])
    found = np.full(count, ALONE)
    for number, members in enumerate(networkx.community.louvain_communities(graph, seed=seed)):
        found[sorted(members)] = number
    return found


def correlated(codes: np.ndarray, level: np.ndarray, count: int) -> Joined:
    """The co-activation graph: the `count` best correlated pairs of concepts of adjacent levels.

    `codes`: `picture concept`; `level`: number of each concept's level."""
    spread = codes.std(axis=0)
    standard = (codes - codes.mean(axis=0)) / np.where(spread > 0, spread, 1)
    pairs = [np.nonzero((level[:, None] == at) & (level[None] == at + 1)) for at in np.unique(level)]
    source, target = (np.concatenate([pair[end] for pair in pairs]) for end in (0, 1))
    r = np.einsum("ij,ij->j", standard[:, source], standard[:, target]) / len(codes)
    best = np.argsort(-r, kind="stable")[:count]
    best = best[r[best] > 0]
    return Joined(source[best], target[best], r[best])


def clusters(codes: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
    """Latents in `count` clusters by the pictures they are on in (k-means of unit profiles). `codes`: `picture
    latent`."""
    from sklearn.cluster import KMeans

    profile = codes.T / np.maximum(np.linalg.norm(codes.T, axis=1, keepdims=True), 1e-12)
    return np.asarray(KMeans(count, n_init=10, random_state=seed).fit_predict(profile))


def partition(codes: np.ndarray, member: np.ndarray, train: np.ndarray) -> np.ndarray:
    """The community of each picture: where the concepts' codes, in s.d. of `train`, stand highest on average.

    `codes`, `train`: `picture concept`; `member`: the community of each concept. Concepts of none have no say."""
    spread = train.std(axis=0)
    standard = (codes - train.mean(axis=0)) / np.where(spread > 0, spread, 1)
    names = [name for name in np.unique(member) if name != ALONE]
    if not names:
        return np.zeros(len(codes), dtype=np.int64)
    scores = np.stack([standard[:, member == name].mean(axis=1) for name in names], axis=1)
    return np.asarray(scores.argmax(axis=1))


def information(found: np.ndarray, labels: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Normalised mutual information of two partitions of pictures (over the mean of both entropies), 0 to 1; pictures
    may count `weight` times."""
    width = int(labels.max()) + 1
    counts = np.bincount(found * width + labels, weights=weight, minlength=(int(found.max()) + 1) * width)
    joint = counts.reshape(-1, width) / counts.sum()
    first, second = _entropy(joint.sum(axis=1)), _entropy(joint.sum(axis=0))
    both = _entropy(joint.ravel())
    return float(2 * (first + second - both) / (first + second)) if first + second > 0 else 0.0


def _entropy(shares: np.ndarray) -> float:
    kept = shares[shares > 0]
    return float(-(kept * np.log(kept)).sum())


def agreement(found: np.ndarray, known: Known, kind: str) -> Interval:
    """Normalised mutual information with a kind of label, with its 95 % interval over things."""
    value, low, high, n, seeds = _over_items(known, lambda weight: information(found, known.labels[kind], weight))
    return Interval(value, max(low, 0.0), min(high, 1.0), n, seeds)


def advantage(found: np.ndarray, other: np.ndarray, known: Known, kind: str) -> Interval:
    """By how much one partition agrees better than another, with its 95 % interval over things."""
    labels = known.labels[kind]
    return _over_items(known, lambda weight: information(found, labels, weight) - information(other, labels, weight))


def _over_items(known: Known, statistic: Callable[[np.ndarray], float]) -> Interval:
    """Jackknife over things, each left out with all its pictures. Resampling with repetition would not do: what occurs
    twice agrees with itself, and information rises above that of the data."""
    items, own = np.unique(known.item, return_inverse=True)
    value = statistic(np.ones(len(own)))
    without = np.array([statistic((own != item).astype(np.float64)) for item in range(len(items))])
    error = np.sqrt((len(items) - 1) / len(items) * ((without - without.mean()) ** 2).sum())
    return Interval(value, value - NORMAL95 * float(error), value + NORMAL95 * float(error), len(items), 1)


def dealt_anew(
    member: np.ndarray, codes: np.ndarray, train: np.ndarray, labels: np.ndarray, *, draws: int = 200, seed: int = 0
) -> np.ndarray:
    """The control, `draw`: the agreement when concepts are dealt out to communities of the same sizes at random."""
    random, joined = np.random.default_rng(seed), np.nonzero(member != ALONE)[0]
    found = []
    for _ in range(draws):
        dealt = member.copy()
        dealt[joined] = member[random.permutation(joined)]
        found.append(information(partition(codes, dealt, train), labels))
    return np.array(found)


def preferred(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The label under which each concept's mean code is largest, `concept`. `codes`: `picture concept`."""
    return np.stack([codes[labels == name].mean(axis=0) for name in range(labels.max() + 1)]).argmax(axis=0)
