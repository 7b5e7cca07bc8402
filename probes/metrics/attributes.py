"""Attributes of chunks that the bundled texts have: when they were written, and whether they name numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from probes.activations.store import ActivationStore
from probes.metrics.probing import Described
from probes.metrics.removal import Flags, Means
from probes.metrics.spurious import TwoAttributes
from probes.subjects.text_autoregressive import TextAutoregressive

EACH = 50  # years of an era; what has no year but a chapter is a class of its own
NOVEL = 0


def eras(store: ActivationStore) -> dict[int, int]:
    """Document number to its era (the half century of its year), or to `NOVEL` for a chapter of a book."""
    found = {}
    for number, document in enumerate(store.index.documents):
        year = document.labels.get("year")
        if isinstance(year, int):
            found[number] = year // EACH
        elif document.labels.get("chapter") is not None:
            found[number] = NOVEL
    return found


def names_a_number(described: Described, subject: TextAutoregressive) -> Flags:
    """Which chunks hold a token with a digit in it, `chunk`."""
    size = int(described.tokens.max()) + 1
    known = np.unique(described.tokens[described.tokens >= 0])
    digits = np.zeros(size + 1, dtype=np.bool_)  # the last one is asked for where there is no token
    for token in known.tolist():
        digits[token] = any(letter.isdigit() for letter in subject.tokenizer.decode([token]))
    return np.asarray(digits[described.tokens].any(axis=1))


def means_of(described: Described) -> Means:
    return Means(described.activation, described.codes, described.document)


def century_and_numbers(described: Described, subject: TextAutoregressive, century: dict[int, int]) -> TwoAttributes:
    """Chunks of documents with a century (`document` to 0 or 1), and whether each names a number."""
    dated = np.isin(described.document, list(century))
    label = np.array([century.get(int(number), 0) for number in described.document], dtype=np.bool_)
    return TwoAttributes(means_of(described), label, names_a_number(described, subject)).part(dated)


def classes(described: Described, labels: dict[int, int]) -> tuple[Means, NDArray[np.int64]]:
    """Chunks of documents that have a class, and the class of each."""
    known = np.isin(described.document, list(labels))
    label = np.array([labels.get(int(number), -1) for number in described.document], dtype=np.int64)
    return means_of(described).part(known), label[known]
