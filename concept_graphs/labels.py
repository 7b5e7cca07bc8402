"""Labels without a language-model API: the words that speak for a concept, and how well they find it.

A label is a list of patterns: a token, or a token with the one before it, in any case. Patterns are chosen on
training text one after the other, each by how much of what is still unexplained of the concept's firing it
covers, times how much likelier the concept fires there. The first few name the concept and must be
distinctive; the others only have to cover, for a concept fires on many words weakly. The label's detection
score is the area under the ROC curve, on held-out text, of predicting where the concept fires from all of its
patterns.
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
CERTAIN = 0.99  # a rate above it would make odds without end
PATTERNS = 16
NAMING = 3  # of them, the first ones
DISTINCTIVE = 2.0  # log odds above which a pattern may name: common words cover much of a long row's firing


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


def folded(text: Text, piece: Callable[[int], str]) -> Text:
    """The text with the spellings of a token that differ only in case made one: the smallest id among them."""
    alike: dict[str, int] = {}
    spelt = [alike.setdefault(piece(token).casefold(), token) for token in range(int(text.tokens.max()) + 1)]
    return text._replace(tokens=np.array(spelt)[text.tokens])


def make_labels(
    found: Firings,
    text: Text,
    kind: RowKind,
    n_latents: int,
    *,
    patterns: int = PATTERNS,
    distinctive: float = DISTINCTIVE,
) -> list[Label]:
    """One label per latent from its firings in training text; `patterns` is the most it may have, and `distinctive`
    the log odds above which one may name.

    A pattern's weight is the log odds of firing where it occurs, shrunk towards the base rate by four
    pseudo-rows, so that a pattern seen once cannot win. Firings count by their value for the naming patterns,
    alike for the others.
    """
    words = _Keys.of(text, pairs=False)
    pairs = _Keys.of(text, pairs=True)
    order = np.argsort(found.latent, kind="stable")
    starts = np.searchsorted(found.latent[order], np.arange(n_latents + 1))
    labels = []
    for latent in range(n_latents):
        places, value = _token_places(found, order[starts[latent] : starts[latent + 1]], kind, text)
        labels.append(_label(places, value, words, pairs, int(text.usable.sum()), patterns, distinctive))
    return labels


class _Keys(NamedTuple):
    """What stands at every place as one number, `chunk pos`, and how often each is seen where usable."""

    at: np.ndarray
    unique: np.ndarray
    times: np.ndarray
    vocabulary: int

    @classmethod
    def of(cls, text: Text, *, pairs: bool) -> _Keys:
        vocabulary = int(text.tokens.max()) + 1
        at = text.tokens.astype(np.int64)
        if pairs:
            at = (before(text.tokens) + 1) * vocabulary + at
        return cls(at, *np.unique(at[text.usable], return_counts=True), vocabulary)

    def seen(self, keys: np.ndarray) -> np.ndarray:
        return self.times[np.searchsorted(self.unique, keys)].astype(np.float64)


def before(tokens: np.ndarray) -> np.ndarray:
    """The token before each, `chunk pos`; ANY at the start of a chunk."""
    return np.concatenate([np.full((len(tokens), 1), ANY, dtype=np.int64), tokens[:, :-1]], axis=1)


def _label(
    places: np.ndarray, value: np.ndarray, words: _Keys, pairs: _Keys, rows: int, most: int, distinctive: float
) -> Label:
    """A greedy cover of the firings by words and pairs; what one pattern covers counts for no later one."""
    if not len(places):
        return Label((), ())
    base = min(max(len(places) / rows, 1e-9), CERTAIN)
    word, word_of = np.unique(words.at[places[:, 0], places[:, 1]], return_inverse=True)
    pair, pair_of = np.unique(pairs.at[places[:, 0], places[:, 1]], return_inverse=True)
    ends = np.searchsorted(word, pair % words.vocabulary)  # the word each pair ends in
    single = np.stack([words.seen(word), np.bincount(word_of), np.bincount(word_of, weights=value)])
    double = np.stack([pairs.seen(pair), np.bincount(pair_of), np.bincount(pair_of, weights=value)])
    chosen: list[tuple[Pattern, float]] = []
    naming = True
    while len(chosen) < most:
        naming = naming and len(chosen) < NAMING
        gain, gain_pair = (_gain(table, base, distinctive if naming else None) for table in (single, double))
        best, best_pair = int(gain.argmax()), int(gain_pair.argmax())
        if max(gain[best], gain_pair[best_pair]) <= 0:
            if not naming:
                break
            naming = False
        elif gain_pair[best_pair] > gain[best]:
            key = int(pair[best_pair])
            pattern = (key // words.vocabulary - 1, key % words.vocabulary)
            chosen.append((pattern, float(_odds(double, base)[best_pair])))
            single[:, ends[best_pair]] -= double[:, best_pair]
            double[1:, best_pair] = 0
        else:
            chosen.append(((ANY, int(word[best])), float(_odds(single, base)[best])))
            single[1:, best] = 0
            double[1:, ends == best] = 0
    return Label(tuple(pattern for pattern, _ in chosen), tuple(weight for _, weight in chosen))


def _gain(table: np.ndarray, base: float, distinctive: float | None) -> np.ndarray:
    """What each pattern would explain, of one that names where it has to be `distinctive`; `table`: rows seen, rows
    fired in, and their summed value, `3 pattern`."""
    odds = _odds(table, base)
    return np.asarray(odds * table[1] if distinctive is None else (odds - distinctive) * table[2])


def _odds(table: np.ndarray, base: float) -> np.ndarray:
    """Log odds of firing over the base rate's."""
    seen, fired, _ = table
    rate = np.minimum((fired + SHRINKAGE * base) / (seen + SHRINKAGE), CERTAIN)
    return np.asarray(np.log(rate / (1 - rate)) - np.log(base / (1 - base)))


def _token_places(found: Firings, mine: np.ndarray, kind: RowKind, text: Text) -> tuple[np.ndarray, np.ndarray]:
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

    `row_usable`: `chunk row`. A token scores the largest weight of a pattern that ends there, a row the sum
    over its tokens.
    """
    previous = before(text.tokens)
    use = row_usable.ravel()
    document = np.repeat(text.document, row_usable.shape[1])[use]
    scores: list[Detection | None] = []
    order = np.argsort(found.latent, kind="stable")
    starts = np.searchsorted(found.latent[order], np.arange(len(labels) + 1))
    for latent, label in enumerate(labels):
        active = np.zeros(row_usable.shape, dtype=bool)
        mine = order[starts[latent] : starts[latent + 1]]
        active[found.chunk[mine], found.row[mine]] = True
        score = _row_sum(_token_scores(label, text, previous), kind.span)
        scores.append(_auroc(active.ravel()[use], score.ravel()[use], document, seed))
    return scores


def _token_scores(label: Label, text: Text, previous: np.ndarray) -> np.ndarray:
    """`chunk pos`: the largest weight of a pattern that ends at each usable token, 0 where none does."""
    alone = np.zeros(int(text.tokens.max()) + 1)
    patterns = list(zip(label.patterns, label.weights, strict=True))
    for (first, token), weight in patterns:
        if first == ANY and token < len(alone):
            alone[token] = weight
    score = alone[text.tokens]
    for (first, token), weight in patterns:
        if first != ANY:
            hit = (text.tokens == token) & (previous == first)
            score[hit] = np.maximum(score[hit], weight)
    return np.asarray(score * text.usable)


def _row_sum(score: np.ndarray, span: int) -> np.ndarray:
    """Rounded, so that the same patterns in another order give the same score."""
    missing = -score.shape[1] % span
    padded = np.pad(score, ((0, 0), (0, missing)))
    return np.asarray(padded.reshape(len(score), -1, span).sum(axis=2)).round(4)


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
    return np.divide((on * (below + off / 2)).sum(axis=1), pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def label_text(label: Label, piece: Callable[[int], str]) -> str:
    """The label as people read it: pieces of the best patterns, without edge spaces."""
    shown = [
        (piece(token) if before == ANY else piece(before) + piece(token)).strip() or "␣"
        for before, token in label.patterns[:NAMING]
    ]
    return " · ".join(dict.fromkeys(shown)) if shown else "no clear tokens"
