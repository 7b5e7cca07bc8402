"""Context words of a concept: tokens that stand around its firings far more often than elsewhere."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from concept_graphs.contexts import Firings, Text
from probes.activations.rows import RowKind

PRIOR = 500.0


class Around(NamedTuple):
    """Which tokens count as context: `before` and `after` a firing row's own tokens, which count too."""

    before: int = 4
    after: int = 4


def context_words(
    found: Firings, text: Text, kind: RowKind, latent: int, *, around: Around, count: int = 10
) -> list[int]:
    """The `count` token ids most typical of the places where one latent fires, best first.

    Ranked by the z score of the log odds ratio between its contexts and all other usable text, with the
    corpus frequencies as an informative Dirichlet prior (Monroe et al., 2008, eq. 16, 20-22), so that
    neither rare nor common tokens win by their frequency. `latent` is a position in the list the firings
    were taken for. Empty when the latent never fires.
    """
    near = _near(found, text, kind, latent, around)
    vocabulary = int(text.tokens.max()) + 1
    inside = np.bincount(text.tokens[near], minlength=vocabulary).astype(np.float64)
    everywhere = np.bincount(text.tokens[text.usable], minlength=vocabulary).astype(np.float64)
    if not inside.sum():
        return []
    outside = everywhere - inside
    prior = PRIOR * everywhere / everywhere.sum()
    a, b = inside + prior, outside + prior
    ratio = _logit(a, inside.sum() + PRIOR) - _logit(b, outside.sum() + PRIOR)
    z = np.where(inside > 0, ratio / np.sqrt(1 / np.maximum(a, 1e-9) + 1 / np.maximum(b, 1e-9)), -np.inf)
    best = np.argsort(-z, kind="stable")[:count]
    return [int(token) for token in best if z[token] > 0]


def _logit(count: np.ndarray, total: float) -> np.ndarray:
    return np.log(np.maximum(count, 1e-9)) - np.log(np.maximum(total - count, 1e-9))


def _near(found: Firings, text: Text, kind: RowKind, latent: int, around: Around) -> np.ndarray:
    """`chunk pos` bool: usable tokens within reach of one of the latent's rows."""
    near: np.ndarray = np.zeros_like(text.usable)
    mine = found.latent == latent
    chunk, first = found.chunk[mine], found.row[mine] * kind.span
    for shift in range(-around.before, kind.span + around.after):
        position = first + shift
        inside = (position >= 0) & (position < text.tokens.shape[1])
        near[chunk[inside], position[inside]] = True
    return np.asarray(near & text.usable)
