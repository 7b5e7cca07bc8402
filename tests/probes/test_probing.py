"""Sparse probing on chunks whose informative column is known."""

from __future__ import annotations

import numpy as np
import pytest

from probes.metrics.probing import Labelled, labelled, majority, over_documents, sparse_probe


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
    assert found.auroc > 0.99
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


def test_chunks_without_a_label_are_left_out() -> None:
    kept = labelled(np.arange(6.0)[:, None], np.array([0, 1, 2, 0, 1, 2]), {0: 1, 2: 0})
    assert kept.y.tolist() == [1, 0, 1, 0]
    assert kept.x[:, 0].tolist() == [0, 2, 3, 5]
