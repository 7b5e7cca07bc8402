"""Labels without a language-model API: the tokens that speak for a concept, and how well they find it.

A label is a short list of patterns: a token, or a token with the one before it. Patterns are chosen on
training text by how much more often they occur where the concept fires; the label's detection score is
the area under the ROC curve, on held-out text, of predicting where the concept fires from the patterns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from concept_graphs.contexts import Firings, Text
from probes.activations.rows import RowKind

Pattern = tuple[int, int]  # (token before or ANY, token)
ANY = -1
SHRINKAGE = 4.0


class Label(NamedTuple):
    """Patterns with their log-odds weights, best first."""

    patterns: tuple[Pattern, ...]
    weights: tuple[float, ...]


class Detection(NamedTuple):
    """Area under the ROC curve on held-out rows with a 95 % interval over documents; `n` active rows."""

    auroc: float
    low: float
    high: float
    n: int


def make_labels(
    found: Firings, text: Text, kind: RowKind, n_latents: int, *, patterns: int = 4
) -> list[Label]:
    """One label per latent from its firings in training text.

    A pattern's weight is the log odds of firing where it occurs, shrunk towards the base rate by four
    pseudo-rows, so that a pattern seen once cannot win; firings count by their value.
    """
    previous = np.concatenate([np.full((len(text.tokens), 1), ANY), text.tokens[:, :-1]], axis=1)
    vocabulary = int(text.tokens.max()) + 1
    single, pair = text.tokens.astype(np.int64), (previous + 1).astype(np.int64) * vocabulary + text.tokens
    counts = {name: _counts(keys[text.usable]) for name, keys in (("single", single), ("pair", pair))}
    rows = int(text.usable.sum())
    order = np.argsort(found.latent, kind="stable")
    starts = np.searchsorted(found.latent[order], np.arange(n_latents + 1))
    labels = []
    for latent in range(n_latents):
        mine = order[starts[latent] : starts[latent + 1]]
        places, weight = _token_places(found, mine, kind, text)
        base = min(max(len(places) / rows, 1e-9), 0.5)
        scored = [
            (score, _decode(name, key, vocabulary))
            for name, keys in (("single", single), ("pair", pair))
            for key, score in _best(keys[places[:, 0], places[:, 1]], weight, counts[name], base, patterns)
        ]
        labels.append(_distinct(scored, patterns))
    return labels


def _token_places(
    found: Firings, mine: np.ndarray, kind: RowKind, text: Text
) -> tuple[np.ndarray, np.ndarray]:
    """(chunk, position) of every usable token of the firings' rows, and each one's share of the value."""
    chunk, row = found.chunk[mine], found.row[mine]
    position = (row[:, None] * kind.span + np.arange(kind.span)).ravel()
    chunks = np.repeat(chunk, kind.span)
    value = np.repeat(found.value[mine], kind.span)
    inside = position < text.tokens.shape[1]
    chunks, position, value = chunks[inside], position[inside], value[inside]
    usable = text.usable[chunks, position]
    places = np.stack([chunks[usable], position[usable]], axis=1)
    value = value[usable]
    return places, value / max(float(value.mean()), 1e-9) if len(value) else value


def _counts(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    unique, count = np.unique(keys, return_counts=True)
    return unique, count


def _best(
    keys: np.ndarray, weight: np.ndarray, counts: tuple[np.ndarray, np.ndarray], base: float, most: int
) -> list[tuple[int, float]]:
    """The keys that raise the odds of firing most, weighed by how much of the firing they cover."""
    if not len(keys):
        return []
    unique, inverse = np.unique(keys, return_inverse=True)
    fired = np.bincount(inverse, weights=weight)
    seen = counts[1][np.searchsorted(counts[0], unique)]
    rate = np.minimum((fired + SHRINKAGE * base) / (seen + SHRINKAGE), 0.99)
    log_odds = np.log(rate / (1 - rate)) - np.log(base / (1 - base))
    covered = fired / fired.sum()
    best = np.argsort(-(log_odds * covered))[: 2 * most]
    return [(int(unique[at]), float(log_odds[at] * np.sqrt(covered[at]))) for at in best if log_odds[at] > 0]


def _decode(name: str, key: int, vocabulary: int) -> Pattern:
    return (ANY, key) if name == "single" else (key // vocabulary - 1, key % vocabulary)


def _distinct(scored: list[tuple[float, Pattern]], most: int) -> Label:
    """The best patterns; a pair is kept only where it beats its own last token alone."""
    alone = {pattern[1]: score for score, pattern in scored if pattern[0] == ANY}
    kept: list[tuple[float, Pattern]] = []
    for score, pattern in sorted(scored, reverse=True):
        if pattern[0] != ANY and score <= 1.25 * alone.get(pattern[1], 0.0):
            continue
        if any(pattern[1] == other[1] and ANY in (pattern[0], other[0]) for _, other in kept):
            continue
        kept.append((score, pattern))
    return Label(tuple(p for _, p in kept[:most]), tuple(s for s, _ in kept[:most]))


def detection_scores(
    labels: Sequence[Label],
    found: Firings,
    text: Text,
    row_usable: np.ndarray,
    kind: RowKind,
    *,
    seed: int = 0,
) -> list[Detection | None]:
    """How well each label finds its concept in held-out text; None when the concept fires in under five rows.

    `row_usable`: `chunk row`. A row's score is the largest weight of a pattern that occurs in it.
    """
    previous = np.concatenate([np.full((len(text.tokens), 1), ANY), text.tokens[:, :-1]], axis=1)
    use = row_usable.ravel()
    document = np.repeat(text.document, row_usable.shape[1])[use]
    scores: list[Detection | None] = []
    order = np.argsort(found.latent, kind="stable")
    starts = np.searchsorted(found.latent[order], np.arange(len(labels) + 1))
    for latent, label in enumerate(labels):
        active = np.zeros(row_usable.shape, dtype=bool)
        mine = order[starts[latent] : starts[latent + 1]]
        active[found.chunk[mine], found.row[mine]] = True
        score = np.zeros(text.tokens.shape, dtype=np.float32)
        for (before, token), weight in zip(label.patterns, label.weights, strict=True):
            hit = (text.tokens == token) & ((previous == before) if before != ANY else True)
            score = np.maximum(score, np.where(hit & text.usable, weight, 0.0))
        pooled = _row_max(score, kind.span)
        scores.append(_auroc(active.ravel()[use], pooled.ravel()[use], document, seed))
    return scores


def _row_max(score: np.ndarray, span: int) -> np.ndarray:
    missing = -score.shape[1] % span
    padded = np.pad(score, ((0, 0), (0, missing)))
    return np.asarray(padded.reshape(len(score), -1, span).max(axis=2))


def _auroc(active: np.ndarray, score: np.ndarray, document: np.ndarray, seed: int) -> Detection | None:
    """Scores take a handful of values, so ranks reduce to a small table per document that is resampled."""
    if active.sum() < 5 or active.all():
        return None
    levels, inverse = np.unique(score, return_inverse=True)
    documents, owner = np.unique(document, return_inverse=True)
    table = np.zeros((2, len(documents), len(levels)))
    np.add.at(table, (active.astype(int), owner, inverse), 1)
    random = np.random.default_rng(seed)
    draws = random.multinomial(len(documents), np.full(len(documents), 1 / len(documents)), size=200)
    value = _area(table[:, None].sum(axis=2))[0]
    resampled = _area(np.einsum("rd,adl->arl", draws, table))
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return Detection(float(value), float(low), float(high), int(active.sum()))


def _area(table: np.ndarray) -> np.ndarray:
    """AUROC from counts per score level, `class draw level` (levels rising), ties counted half."""
    off, on = table[0], table[1]
    below = np.cumsum(off, axis=1) - off
    pairs = off.sum(axis=1) * on.sum(axis=1)
    return np.divide(
        (on * (below + off / 2)).sum(axis=1), pairs, out=np.full(len(pairs), np.nan), where=pairs > 0
    )


def label_text(label: Label, piece: Callable[[int], str]) -> str:
    """The label as people read it: pieces of the two best patterns, without edge spaces."""
    shown = [
        (piece(token) if before == ANY else piece(before) + piece(token)).strip() or "␣"
        for before, token in label.patterns[:3]
    ]
    return " · ".join(dict.fromkeys(shown)) if shown else "no clear tokens"
