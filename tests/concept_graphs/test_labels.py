"""Labels on a made-up text whose concepts are known by construction."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

from concept_graphs.contexts import Firings, Text, strongest
from concept_graphs.labels import detection_scores, label_text, make_labels
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


def test_detection_is_scikit_learns_auroc() -> None:
    found, text = made_up(2)
    labels = make_labels(found, text, TOKEN, 3)
    score = np.zeros(text.tokens.shape)
    previous = np.concatenate([np.full((40, 1), -1), text.tokens[:, :-1]], axis=1)
    for (before, token), weight in zip(labels[2].patterns, labels[2].weights, strict=True):
        hit = (text.tokens == token) & ((previous == before) | (before == -1))
        score = np.maximum(score, hit * weight)
    active = np.zeros(text.tokens.shape, dtype=bool)
    mine = found.latent == 2
    active[found.chunk[mine], found.row[mine]] = True
    ours = detection_scores(labels, found, text, np.ones_like(active), TOKEN)[2]
    assert ours is not None
    assert abs(ours.auroc - roc_auc_score(active.ravel(), score.ravel())) < 1e-6


def test_examples_come_from_different_documents_strongest_first() -> None:
    found, _ = made_up(3)
    for latent, best in enumerate(strongest(found, 3, 4)):
        documents = found.document[best]
        assert len(set(documents.tolist())) == len(documents) == 4
        assert (np.diff(found.value[best]) <= 0).all()
        assert found.value[best[0]] == found.value[found.latent == latent].max()
