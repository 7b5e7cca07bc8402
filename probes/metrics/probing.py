"""Sparse probing: how well a few latents tell a label that the text holds, against honest baselines.

Rows are chunks of text described by mean codes. Latents, regularisation and everything else are chosen on
training documents; accuracy and the area under the ROC curve are taken on held-out documents, with intervals over
documents. Where the classes are not as common in both, only the latter says what the latents know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from sklearn.feature_selection import f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from probes.activations.rows import pool_mean
from probes.activations.store import ActivationStore, Split
from probes.hierarchy.codes import encode_shard
from probes.hierarchy.probe import Level
from probes.metrics.intervals import RESAMPLES, Interval, bootstrap_means

INVERSE_STRENGTHS = (0.001, 0.01, 0.1, 1.0)
FOLDS = 4


class Described(NamedTuple):
    """Chunks by level: `codes` `chunk n_latents` and `activation` `chunk d_model`, both means over the
    chunk's usable rows; `document` `chunk`, the number in the store's index; `tokens` `chunk pos`, −1 where
    there is none."""

    codes: np.ndarray
    activation: np.ndarray
    document: np.ndarray
    tokens: np.ndarray


class Labelled(NamedTuple):
    """Chunks with a known label `y` (0 or 1)."""

    x: np.ndarray
    y: np.ndarray
    document: np.ndarray


class Probed(NamedTuple):
    """Held-out accuracy and area under the ROC curve with intervals over documents, and the columns used."""

    accuracy: Interval
    auroc: Interval
    chosen: list[int]


def describe_chunks(store: ActivationStore, level: Level, split: Split) -> Described:
    """Mean codes and mean activations of every chunk of a split that has a usable row."""
    codes, activations, documents, tokens = [], [], [], []
    for shard in store.shards(split):
        x = store.activations(shard, level.point)
        usable = store.usable(shard, level.point)
        rows = pool_mean(usable[..., None].float(), usable, level.rows.span)[1].sum(dim=1)
        found = encode_shard(store, shard, level).codes
        summed = torch.zeros(len(x), level.space.n_latents)
        flat_index, flat_value = found.index.reshape(len(x), -1), found.value.reshape(len(x), -1).float()
        summed.scatter_add_(1, flat_index, flat_value)
        used = rows > 0
        codes.append((summed / rows.clamp_min(1)[:, None])[used].numpy())
        total = (x.float() * usable[..., None]).sum(dim=1) / usable.sum(dim=1).clamp_min(1)[:, None]
        activations.append(total[used].numpy())
        documents.append(store.documents_of(shard)[0][used].numpy())
        tokens.append(store.tokens(shard).masked_fill(~store.read(shard, "valid")[0], -1)[used].numpy())
    return Described(*map(np.concatenate, (codes, activations, documents, tokens)))


def labelled(x: np.ndarray, document: np.ndarray, labels: Mapping[int, int]) -> Labelled:
    """The chunks whose document has a label."""
    y = np.array([labels.get(int(number), -1) for number in document])
    return Labelled(x[y >= 0], y[y >= 0], document[y >= 0])


def sparse_probe(train: Labelled, test: Labelled, k: int | None, *, seed: int = 0) -> Probed:
    """A logistic probe on the k columns that separate the classes best in training (F score), or on all.

    The regularisation is chosen by cross-validation over whole training documents. Raises `ValueError`
    when a split holds one class only.
    """
    if len(np.unique(train.y)) < 2 or len(np.unique(test.y)) < 2:
        raise ValueError("both splits need both classes")
    chosen = _best_columns(train, k)
    x, held = train.x[:, chosen], test.x[:, chosen]
    strength = max(INVERSE_STRENGTHS, key=lambda c: _validated(x, train.y, train.document, c))
    model = _model(strength).fit(x, train.y)
    right = (model.predict(held) == test.y).astype(np.float64)
    area = area_over_documents(test.y, model.decision_function(held), test.document, seed)
    return Probed(over_documents(right, test.document, seed), area, chosen.tolist())


def majority(train: Labelled, test: Labelled, *, seed: int = 0) -> Interval:
    """Accuracy of always saying the commoner training class."""
    guess = int(train.y.mean() >= 0.5)
    return over_documents((test.y == guess).astype(np.float64), test.document, seed)


def over_documents(values: np.ndarray, document: np.ndarray, seed: int) -> Interval:
    """Mean over chunks with an interval over documents."""
    _, owner = np.unique(document, return_inverse=True)
    sums = np.bincount(owner, weights=values).astype(np.float64)
    counts = np.bincount(owner).astype(np.float64)
    value, low, high = bootstrap_means(sums[:, None], counts[:, None], resamples=2000, seed=seed)
    return Interval(float(value[0]), float(low[0]), float(high[0]), len(values), 1)


def area_over_documents(y: np.ndarray, score: np.ndarray, document: np.ndarray, seed: int) -> Interval:
    """Area under the ROC curve of `score` for `y` (0 or 1), with an interval over documents.

    Chunks that win against chunks are counted once per pair of documents, so that a resampled set of
    documents costs one small product. Ties count half.
    """
    documents, owner = np.unique(document, return_inverse=True)
    member = np.eye(len(documents))[owner]
    on, off = y == 1, y == 0
    wins = (score[on][:, None] > score[off]) + 0.5 * (score[on][:, None] == score[off])
    between = member[on].T @ wins @ member[off]
    pairs = np.outer(member[on].sum(axis=0), member[off].sum(axis=0))
    random = np.random.default_rng(seed)
    times = random.multinomial(len(documents), np.full(len(documents), 1 / len(documents)), size=RESAMPLES)
    won, of = (np.einsum("ri,ij,rj->r", times, table, times, optimize=True) for table in (between, pairs))
    low, high = np.percentile((won[of > 0] / of[of > 0]), [2.5, 97.5])
    return Interval(float(between.sum() / pairs.sum()), float(low), float(high), len(y), 1)


def _best_columns(train: Labelled, k: int | None) -> np.ndarray:
    varying = np.flatnonzero(train.x.std(axis=0) > 0)
    if k is None:
        return varying
    score = f_classif(train.x[:, varying], train.y)[0]
    return np.sort(varying[np.argsort(-score, kind="stable")[:k]])


def _model(strength: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))


def _validated(x: np.ndarray, y: np.ndarray, groups: np.ndarray, strength: float) -> float:
    folds = GroupKFold(min(FOLDS, len(np.unique(groups)))).split(x, y, groups)
    scores = [
        _model(strength).fit(x[fit], y[fit]).score(x[test], y[test])
        for fit, test in folds
        if len(np.unique(y[fit])) == 2
    ]
    return float(np.mean(scores)) if scores else 0.0


def document_labels(store: ActivationStore, question: str) -> dict[int, int]:
    """Labels of the store's documents: `century` (of dated documents, 1 from 1900 on) or `source` (1 for
    dated speeches, 0 for the chapters of a book)."""
    found = {}
    for number, document in enumerate(store.index.documents):
        year, chapter = document.labels.get("year"), document.labels.get("chapter")
        if question == "century" and isinstance(year, int):
            found[number] = int(year >= 1900)
        elif question == "source" and (year is not None or chapter is not None):
            found[number] = int(year is not None)
    return found


QUESTIONS: Sequence[str] = ("century", "source")
