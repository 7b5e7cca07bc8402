"""Sparse probing on chunks whose informative column is known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from probes.metrics.probing import (
    Labelled,
    area_over_documents,
    labelled,
    majority,
    over_documents,
    sparse_probe,
)


def made(seed: int, *, documents: int = 24, informative: bool = True) -> Labelled:
    """Ten chunks per document, 30 sparse columns; column 7 says the document's label, noisily."""
    random = np.random.default_rng(seed)
    document = np.repeat(np.arange(documents), 10)
    y = (document % 2).astype(int)
    x = random.exponential(1.0, (len(y), 30)) * (random.random((len(y), 30)) < 0.3)
    if informative:
        x[:, 7] = 2.0 * y + random.normal(0, 0.5, len(y))
    return Labelled(x, y, document)


def test_one_latent_suffices_where_one_knows() -> None:
    found = sparse_probe(made(0), made(1), 1)
    assert found.chosen == [7]
    assert found.accuracy.value > 0.95
    assert found.auroc.value > 0.99
    assert found.accuracy.low <= found.accuracy.value <= found.accuracy.high


def test_a_probe_of_document_quirks_does_not_leak_into_new_documents() -> None:
    """Each document has a fingerprint of its own: training chunks are told perfectly, new documents not."""

    def fingerprints(seed: int) -> Labelled:
        plain = made(seed, informative=False)
        marks = np.random.default_rng(seed).normal(size=(24, 30))
        return plain._replace(x=plain.x + 3 * marks[plain.document])

    found = sparse_probe(fingerprints(0), fingerprints(1), None)
    assert found.accuracy.value < 0.75
    assert found.accuracy.high - found.accuracy.low > 0.15


def test_same_input_same_answer_and_majority_is_the_floor() -> None:
    train, test = made(0), made(1)
    assert sparse_probe(train, test, 5) == sparse_probe(train, test, 5)
    uneven = Labelled(train.x, np.zeros_like(train.y), train.document)
    assert majority(uneven, test).value == pytest.approx(0.5)
    with pytest.raises(ValueError, match="both classes"):
        sparse_probe(uneven, test, 1)


def test_intervals_are_over_documents_not_chunks() -> None:
    document = np.repeat(np.arange(4), 100)
    values = (document < 2).astype(float)
    found = over_documents(values, document, 0)
    assert found.value == pytest.approx(0.5)
    assert found.high - found.low > 0.7
    assert found.n == 400


def test_the_area_is_scikit_learns_and_its_interval_resamples_documents() -> None:
    random = np.random.default_rng(0)
    document = random.integers(12, size=300)
    y = random.integers(2, size=300)
    score = np.round(y + random.normal(0, 1, 300) + random.normal(0, 0.5, 12)[document], 1)
    found = area_over_documents(y, score, document, 0)
    assert found.value == pytest.approx(roc_auc_score(y, score))
    again = np.random.default_rng(1)
    drawn = []
    for _ in range(400):
        rows = np.concatenate([np.flatnonzero(document == d) for d in again.integers(12, size=12)])
        drawn.append(roc_auc_score(y[rows], score[rows]))
    assert np.allclose([found.low, found.high], np.percentile(drawn, [2.5, 97.5]), atol=0.015)


def test_shuffled_documents_give_chance() -> None:
    """Labels dealt anew to whole documents: nothing is left to know, whichever columns look best in training."""
    train, test = made(0, informative=False, documents=60), made(1, informative=False, documents=60)
    dealt = np.random.default_rng(3).permutation(60) % 2
    found = sparse_probe(train._replace(y=dealt[train.document]), test._replace(y=dealt[test.document]), 5)
    assert found.auroc.low < 0.5 < found.auroc.high


def test_chunks_without_a_label_are_left_out() -> None:
    kept = labelled(np.arange(6.0)[:, None], np.array([0, 1, 2, 0, 1, 2]), {0: 1, 2: 0})
    assert kept.y.tolist() == [1, 0, 1, 0]
    assert kept.x[:, 0].tolist() == [0, 2, 3, 5]
