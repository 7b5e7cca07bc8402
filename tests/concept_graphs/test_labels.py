"""Labels on a made-up text whose concepts are known by construction."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from concept_graphs.contexts import Firings, Text, strongest
from concept_graphs.labels import before, detection_scores, folded, label_text, make_labels
from probes.activations.rows import RowKind

TOKEN = RowKind()


def made_up(seed: int) -> tuple[Firings, Text]:
    """Latent 0 fires on token 7; latent 1 on token 3 after token 5; latent 2 at random places."""
    random = np.random.default_rng(seed)
    tokens = random.integers(10, size=(40, 50))
    previous = np.concatenate([np.full((40, 1), -1), tokens[:, :-1]], axis=1)
    fires = [tokens == 7, (tokens == 3) & (previous == 5), random.random(tokens.shape) < 0.05]
    parts = [(np.full(int(f.sum()), i), *np.nonzero(f)) for i, f in enumerate(fires)]
    latent, chunk, row = (np.concatenate([part[at] for part in parts]) for at in range(3))
    value = random.uniform(1, 2, size=len(latent))
    document = np.arange(40) // 4
    zeros = np.zeros(40, dtype=int)
    text = Text(tokens, np.ones_like(tokens, dtype=bool), document, zeros, zeros, np.arange(40))
    return Firings(latent, value, chunk, row, document[chunk]), text


def test_labels_name_what_fires_and_are_scored_on_other_text() -> None:
    found, text = made_up(0)
    labels = make_labels(found, text, TOKEN, 3)
    assert labels[0].patterns[0] == (-1, 7)
    assert labels[1].patterns[0] == (5, 3)
    held, other = made_up(1)
    usable = np.ones(other.tokens.shape, dtype=bool)
    scores = detection_scores(labels, held, other, usable, TOKEN)
    assert scores[0] is not None and scores[1] is not None and scores[2] is not None
    assert scores[0].auroc > 0.99
    assert scores[1].auroc > 0.95
    assert scores[2].auroc < 0.62
    assert scores[0].low <= scores[0].auroc <= scores[0].high
    assert label_text(labels[1], lambda token: f"<{token}>").startswith("<5><3>")


def test_detection_is_scikit_learns_auroc_of_summed_words() -> None:
    """Rows of five tokens: a row's score is the sum over its tokens of the weight of what ends there."""
    found, text = made_up(2)
    spans = RowKind(span=5)
    found = found._replace(row=found.row // 5)
    label = make_labels(found, text, spans, 3)[1]
    score = np.zeros(text.tokens.shape)
    for (first, token), weight in zip(label.patterns, label.weights, strict=True):
        hit = (text.tokens == token) & ((before(text.tokens) == first) | (first == -1))
        score = np.maximum(score, hit * weight)
    rows = score.reshape(40, 10, 5).sum(axis=2)
    active = np.zeros(rows.shape, dtype=bool)
    mine = found.latent == 1
    active[found.chunk[mine], found.row[mine]] = True
    ours = detection_scores([label, label], found, text, np.ones_like(active), spans)[1]
    assert ours is not None
    assert abs(ours.auroc - roc_auc_score(active.ravel(), rows.ravel())) < 1e-3


def test_a_distinctive_word_names_and_common_ones_only_help_to_find() -> None:
    """The latent fires on every 11 and, because it is everywhere, on half of the token 1."""
    random = np.random.default_rng(0)
    tokens = np.where(random.random((60, 50)) < 0.5, 1, random.integers(2, 11, size=(60, 50)))
    tokens[random.random(tokens.shape) < 0.01] = 11
    fires = (tokens == 11) | ((tokens == 1) & (random.random(tokens.shape) < 0.5))
    chunk, row = np.nonzero(fires)
    zeros = np.zeros(60, dtype=int)
    text = Text(tokens, np.ones_like(tokens, dtype=bool), np.arange(60), zeros, zeros, np.arange(60))
    found = Firings(np.zeros(len(chunk), dtype=int), np.ones(len(chunk)), chunk, row, chunk)
    label = make_labels(found, text, TOKEN, 1)[0]
    assert label.patterns[0] == (-1, 11)
    assert (-1, 1) in label.patterns


@pytest.mark.parametrize("share", [0.2, 0.7, 1.0])
def test_words_that_say_nothing_of_a_latent_have_no_weight_however_often_it_fires(share: float) -> None:
    """Firing is independent of the words, so no word may be likelier to name it than another."""
    random = np.random.default_rng(1)
    tokens = random.integers(0, 3, size=(300, 20))
    chunk, row = np.nonzero(random.random(tokens.shape) < share)
    zeros = np.zeros(300, dtype=int)
    text = Text(tokens, np.ones_like(tokens, dtype=bool), np.arange(300), zeros, zeros, np.arange(300))
    found = Firings(np.zeros(len(chunk), dtype=int), np.ones(len(chunk)), chunk, row, chunk)
    assert max((abs(weight) for weight in make_labels(found, text, TOKEN, 1)[0].weights), default=0.0) < 0.25


def test_what_one_pattern_covers_counts_for_no_later_one() -> None:
    """A latent that fires on 3 after 5 alone: the pair explains it, so neither the 3 nor a longer list is left."""
    found, text = made_up(4)
    label = make_labels(found, text, TOKEN, 3)[1]
    assert label.patterns == ((5, 3),)


def test_spellings_that_differ_in_case_are_one_word_in_every_text() -> None:
    pieces = ["The", " the", "the", " THE"]
    zeros = np.zeros(1, dtype=int)
    for tokens, expected in (([[0, 1, 2, 3]], [[0, 1, 0, 1]]), ([[3, 2]], [[1, 0]])):
        text = Text(np.array(tokens), np.ones((1, len(tokens[0])), dtype=bool), zeros, zeros, zeros, zeros)
        assert folded(text, pieces.__getitem__).tokens.tolist() == expected


def test_examples_come_from_different_documents_strongest_first() -> None:
    found, _ = made_up(3)
    for latent, best in enumerate(strongest(found, 3, 4)):
        documents = found.document[best]
        assert len(set(documents.tolist())) == len(documents) == 4
        assert (np.diff(found.value[best]) <= 0).all()
        assert found.value[best[0]] == found.value[found.latent == latent].max()
