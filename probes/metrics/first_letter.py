"""The first-letter task in a small offline form: words of the subject's own vocabulary, one token each.

Each word is read after a short list of examples, at its own token. A letter's probe is a logistic
regression on activations; the latents that stand for the letter are found by adding latents while that
improves F1 by more than 0.03, ten at most. Half of the words are for fitting, the others are scored.
What is ours: the words (no list is downloaded), the prompt, and ranking latents by mean difference.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from torch import Tensor

from probes.errors import WorkbenchError
from probes.hierarchy.probe import Level
from probes.hooks import HookPoint, keep
from probes.metrics.absorption import FirstLetters, absorption
from probes.metrics.directions import fitted_direction
from probes.subjects.text_autoregressive import TextAutoregressive
from probes.training.randomness import permutation

PROMPT = "tiger: T\nbread: B\n"
GOOD_PROBE, GAIN, MOST = 0.6, 0.03, 10
FEWEST_WORDS = 20
Ints = NDArray[np.int64]


class Words(NamedTuple):
    """Words as the subject reads them: `x` `word d`, `letter` `word` (0 is a), `fit` `word` bool."""

    x: Tensor
    letter: Ints
    fit: NDArray[np.bool_]


def vocabulary(subject: TextAutoregressive, per_letter: int, seed: int = 0) -> dict[int, list[int]]:
    """Token ids of whole lower-case words of four letters or more, by letter (0 is a), a random choice of
    each. Raises `WorkbenchError` when the subject has no tokenizer."""
    if subject.tokenizer is None:
        raise WorkbenchError("no-tokenizer", "Words cannot be read", "the subject has no tokenizer", "Use another.")
    found: dict[int, list[int]] = {}
    for token in range(len(subject.tokenizer)):
        text = subject.tokenizer.decode([token])
        if re.fullmatch(r" [a-z]{4,}", text):
            found.setdefault(ord(text[1]) - ord("a"), []).append(token)
    chosen = {}
    for letter, tokens in sorted(found.items()):
        order = permutation(len(tokens), seed, "words", letter)[:per_letter].tolist()
        if len(order) >= FEWEST_WORDS:
            chosen[letter] = [tokens[at] for at in order]
    return chosen


def read_words(
    subject: TextAutoregressive, point: HookPoint, *, per_letter: int = 100, batch: int = 64, seed: int = 0
) -> Words:
    """Activations at the words' own tokens; every second word of a letter is for fitting. Raises
    `WorkbenchError` for a vocabulary without words."""
    by_letter = vocabulary(subject, per_letter, seed)
    if len(by_letter) < 2:
        raise WorkbenchError(
            "no-words",
            "First letters cannot be told",
            f"fewer than two letters begin {FEWEST_WORDS} words of the vocabulary",
            "Measure a subject whose tokens are words.",
        )
    pairs = [(token, letter, at % 2 == 0) for letter, tokens in by_letter.items() for at, token in enumerate(tokens)]
    tokens = torch.tensor([token for token, _, _ in pairs])
    prompt = torch.tensor(subject.tokenizer(PROMPT).input_ids)
    rows = []
    for part in tokens.split(batch):
        inputs = torch.cat([prompt.expand(len(part), -1), part[:, None]], dim=1)
        rows.append(subject.activations(inputs, {point: keep})[point][:, -1].float().cpu())
    return Words(torch.cat(rows), np.array([p[1] for p in pairs]), np.array([p[2] for p in pairs]))


def first_letters(words: Words, level: Level) -> FirstLetters:
    """Absorption per letter over the words that were not fitted on and lie on the probe's positive side."""
    codes = level.space.encode(words.x).dense()
    fractions, fulls = [], []
    for letter in np.unique(words.letter):
        y = words.letter == letter
        fit, test = words.fit, ~words.fit
        direction, offset = fitted_direction(words.x[fit].numpy(), y[fit])
        positive = (words.x.numpy() @ direction + offset) > 0
        if f1_score(y[test], positive[test]) < GOOD_PROBE:
            continue
        main = standing_for(codes[fit].numpy(), y[fit])
        rows = np.flatnonzero(test & y & positive)
        found = absorption(
            words.x[rows], codes[rows], level.space.w_dec, torch.from_numpy(direction), torch.tensor(main)
        )
        fractions.append(found.fraction.mean())
        fulls.append(found.full.double().mean())
    if not fractions:
        raise WorkbenchError(
            "no-letters",
            "Absorption cannot be measured",
            f"no probe tells a first letter with F1 of {GOOD_PROBE} at {level.point}",
            "Measure it at another layer or on a larger subject.",
        )
    return FirstLetters(torch.stack(fractions), torch.stack(fulls))


def standing_for(codes: NDArray[np.float32], y: NDArray[np.bool_]) -> list[int]:
    """The latents (of `word latent` codes) that together tell y: by mean difference, one more as long as F1
    rises by more than 0.03."""
    difference = codes[y].mean(axis=0) - codes[~y].mean(axis=0)
    order = np.argsort(-difference, kind="stable")[:MOST]
    chosen, best = 1, _f1(codes[:, order[:1]], y)
    for k in range(2, len(order) + 1):
        score = _f1(codes[:, order[:k]], y)
        if score <= best + GAIN:
            break
        chosen, best = k, score
    return [int(latent) for latent in order[:chosen]]


def _f1(columns: NDArray[np.float32], y: NDArray[np.bool_]) -> float:
    scaled = columns / np.maximum(columns.max(axis=0), 1e-12)
    model = LogisticRegression(class_weight="balanced", max_iter=500).fit(scaled, y)
    return float(f1_score(y, model.predict(scaled)))
