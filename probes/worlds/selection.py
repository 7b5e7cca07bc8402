"""Which rows a selection lets through, drawn by Gibbs sampling and Metropolis steps of which lowest concepts are on.

P(row | selected) ∝ P(row) · exp(−α · orphans) · [1 ≤ highest concepts on ≤ most]. An orphan is a concept
that is on while no concept it is a part of is. Rows are drawn given one highest concept that is on, every one of them
as often: the cheapest would else be on in nearly all.

Single flips move slowly from one way of making a whole to another, as orphans lie between, so each sweep also tries
rows drawn afresh. Chains stopped early all lean the way the last concepts were visited: rows of two draws then differ
by more than chance, and an interval from one draw holds the mean over all too seldom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes.worlds.world import Array, Flags

FORBIDDEN = -1e3
REDRAWS = 32  # per sweep
BELOW_ON, ELSE_ON = 0.5, 0.02  # chance of a lowest concept in a row drawn afresh, below the highest one and elsewhere

Indices = NDArray[np.int64]


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
    asked = random.integers(len(compositions[-1].weights), size=rows)
    codes = np.empty((rows, compositions[0].weights.shape[1]), dtype=np.float32)
    missing = np.arange(rows)
    while len(missing):
        codes[missing] = _chains(compositions, asked[missing], random, selecting)
        missing = missing[_log_weight(compositions, codes[missing], asked[missing], 0.0, selecting.most) < 0]
    return codes


def _chains(
    compositions: Sequence[Composition], asked: Indices, random: np.random.Generator, selecting: Selecting
) -> Array:
    """One chain per row, given the highest concept `asked`, `row`, whether it found an allowed row or not."""
    rows, low = len(asked), compositions[0].weights.shape[1]
    strength = random.lognormal(0, selecting.spread, (rows, low)).astype(np.float32)
    below = _below(compositions)[asked]
    odds = np.where(below, BELOW_ON, ELSE_ON)
    prior = np.log(selecting.share / (1 - selecting.share))

    def weight(on: Flags) -> Array:
        return _log_weight(compositions, on * strength, asked, selecting.orphans, selecting.most)

    def preference(on: Flags) -> Array:
        """log of how much likelier a row is than to be drawn afresh."""
        return np.asarray(weight(on) + (prior * on - np.log(np.where(on, odds, 1 - odds))).sum(axis=1))

    on = below
    for _ in range(selecting.sweeps):
        for concept in random.permutation(low):
            weights = []
            for state in (False, True):
                on[:, concept] = state
                weights.append(weight(on))
            chance = 1 / (1 + np.exp(np.clip(weights[0] - weights[1] - prior, -50, 50)))
            on[:, concept] = random.random(rows) < chance
        held = preference(on)
        for _ in range(REDRAWS):
            drawn = random.random(on.shape) < odds
            other = preference(drawn)
            accepted = np.log(random.random(rows)) < other - held
            on, held = np.where(accepted[:, None], drawn, on), np.where(accepted, other, held)
    return np.asarray(on * strength, dtype=np.float32)


def _below(compositions: Sequence[Composition]) -> Flags:
    """Which lowest concepts are below each highest one, `highest low`."""
    below = np.eye(len(compositions[-1].weights), dtype=np.bool_)
    for composition in reversed(compositions):
        below = (below @ composition.weights) > 0
    return np.asarray(below)


def _log_weight(compositions: Sequence[Composition], codes: Array, asked: Indices, orphans: float, most: int) -> Array:
    """log of what the selection makes of each row, `row`, where the highest concept `asked` is to be on."""
    lonely = np.zeros(len(codes), dtype=np.float32)
    for composition in compositions:
        above = composition.apply(codes)
        has_whole = (above > 0).astype(np.float32) @ composition.weights > 0
        lonely += ((codes > 0) & ~has_whole).sum(axis=1)
        codes = above
    allowed = (codes[np.arange(len(codes)), asked] > 0) & ((codes > 0).sum(axis=1) <= most)
    return np.asarray(-orphans * lonely + FORBIDDEN * ~allowed, dtype=np.float32)
