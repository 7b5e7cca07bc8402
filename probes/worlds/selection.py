"""Which rows a selection lets through, drawn by Gibbs sampling and Metropolis steps of which lowest concepts are on.

P(row | selected) ∝ P(row) · exp(−α · orphans) · [1 ≤ highest concepts on ≤ most]. An orphan is a concept
that is on while no concept it is a part of is.

Single flips seldom leave one highest concept for another, as that takes both on, or several orphans, on the way: each
sweep also tries rows drawn afresh. Chains stopped early all lean the way the last concepts were visited: rows of two
draws then differ by more than chance, and an interval from one draw holds the mean over all too seldom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from probes.worlds.world import Array, Flags

FORBIDDEN = -1e3
REDRAWS = 32  # per sweep
BELOW_ON, ELSE_ON = 0.5, 0.02  # chance of a lowest concept, below the highest one it is drawn for and elsewhere


class Composition(NamedTuple):
    """z_high = ReLU(weights · z_low − thresholds); `weights` `high low`, 1 at parts, `thresholds` `high`."""

    weights: Array
    thresholds: Array

    @classmethod
    def of(cls, parts: Flags, needed: float) -> Composition:
        """A whole is on when about `needed` of its parts are, at a typical strength of 1 each."""
        wanted = np.ceil(needed * parts.sum(axis=1)).clip(min=1)
        return cls(parts.astype(np.float32), (wanted - 0.5).astype(np.float32))

    def apply(self, low: Array) -> Array:
        return np.maximum(low @ self.weights.T - self.thresholds, 0)


class Selecting(NamedTuple):
    """What a selection lets through: `share` prior probability of a lowest concept, `spread` standard deviation of
    the logarithm of a strength, `orphans` the price α, `most` highest concepts on; `sweeps` of the sampler."""

    share: float
    spread: float
    orphans: float
    most: int
    sweeps: int


def select(compositions: Sequence[Composition], rows: int, random: np.random.Generator, selecting: Selecting) -> Array:
    """Codes of the lowest storey, `row low`, of rows that are let through. Chains that never entered the allowed
    rows are run again."""
    kept: list[Array] = []
    while (missing := rows - sum(map(len, kept))) > 0:
        drawn = _chains(compositions, missing, random, selecting)
        kept.append(drawn[_log_weight(compositions, drawn, 0.0, selecting.most) == 0])
    return np.concatenate(kept)


def _chains(compositions: Sequence[Composition], rows: int, random: np.random.Generator, selecting: Selecting) -> Array:
    """One chain per row, whether it found an allowed row or not."""
    low = compositions[0].weights.shape[1]
    strength = random.lognormal(0, selecting.spread, (rows, low)).astype(np.float32)
    on = _start(compositions, rows, random)
    prior = np.log(selecting.share / (1 - selecting.share))
    below = _below(compositions)
    for _ in range(selecting.sweeps):
        for _ in range(REDRAWS):
            on = _redrawn(compositions, on, strength, below, random, selecting)
        for concept in random.permutation(low):
            weights = []
            for state in (False, True):
                on[:, concept] = state
                weights.append(_log_weight(compositions, on * strength, selecting.orphans, selecting.most))
            chance = 1 / (1 + np.exp(np.clip(weights[0] - weights[1] - prior, -50, 50)))
            on[:, concept] = random.random(rows) < chance
    return np.asarray(on * strength, dtype=np.float32)


def _below(compositions: Sequence[Composition]) -> Array:
    """Which lowest concepts are below each highest one, `highest low`, 0 or 1."""
    below = np.eye(len(compositions[-1].weights), dtype=np.float32)
    for composition in reversed(compositions):
        below = ((below @ composition.weights) > 0).astype(np.float32)
    return below


def _redrawn(
    compositions: Sequence[Composition],
    on: Flags,
    strength: Array,
    below: Array,
    random: np.random.Generator,
    selecting: Selecting,
) -> Flags:
    """A Metropolis step: another highest concept, each part below it on by a coin, anything else seldom."""
    odds = np.where(below > 0, BELOW_ON, ELSE_ON)
    proposed = random.random(on.shape) < odds[random.integers(len(odds), size=len(on))]
    prior = np.log(selecting.share / (1 - selecting.share))

    def preference(state: Flags) -> Array:
        """log of how much likelier a state is than to be proposed."""
        drawn = logsumexp(state @ np.log(odds / (1 - odds)).T + np.log(1 - odds).sum(axis=1), axis=1)
        weight = _log_weight(compositions, state * strength, selecting.orphans, selecting.most)
        return np.asarray(weight + prior * state.sum(axis=1) - drawn)

    accepted = np.log(random.random(len(on))) < preference(proposed) - preference(on)
    return np.where(accepted[:, None], proposed, on)


def _start(compositions: Sequence[Composition], rows: int, random: np.random.Generator) -> Flags:
    """One highest concept per row, with everything below it: a row the selection lets through, mostly."""
    on = np.eye(len(compositions[-1].weights), dtype=np.bool_)[
        random.integers(len(compositions[-1].weights), size=rows)
    ]
    for composition in reversed(compositions):
        on = (on @ composition.weights) > 0
    return np.asarray(on)


def _log_weight(compositions: Sequence[Composition], codes: Array, orphans: float, most: int) -> Array:
    """log of what the selection makes of each row, `row`."""
    lonely = np.zeros(len(codes), dtype=np.float32)
    for composition in compositions:
        above = composition.apply(codes)
        has_whole = (above > 0).astype(np.float32) @ composition.weights > 0
        lonely += ((codes > 0) & ~has_whole).sum(axis=1)
        codes = above
    top = (codes > 0).sum(axis=1)
    return np.asarray(-orphans * lonely + FORBIDDEN * ((top < 1) | (top > most)), dtype=np.float32)
