"""Which rows a selection lets through, drawn by Metropolis steps of which lowest concepts are on.

P(on | strengths, selected) ∝ P(on) · exp(−α · orphans) · [1 ≤ highest concepts on ≤ most]. An orphan is a concept
that is on while no concept it is a part of is. Strengths come first, each from its prior; rows are drawn given one
highest concept that is on, every one of them as often: the cheapest would else be on in nearly all.

Single flips move slowly from one way of making a whole to another, as orphans lie between, so each sweep also tries
rows drawn afresh. Chains stopped early lean one way: rows of two draws then differ by more than chance, and an
interval from one draw holds the mean over all too seldom. Hence many steps, and compiled ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes.errors import WorkbenchError
from probes.kernels.choice import chains
from probes.kernels.threads import shared
from probes.worlds.world import Array, Flags

REDRAWS = 32  # per sweep
RARE = 0.02  # chance of a lowest concept in a row drawn afresh, where it is not below the highest one
MOST_CHAINS = 20_000  # run in vain, one after another, before a world is refused
BLOCK = 64  # rows to a generator: what is drawn does not depend on how many threads draw

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
    rows are run again. Raises `WorkbenchError` for a world in which a highest concept is never let through."""
    asked = random.integers(len(compositions[-1].weights), size=rows)
    codes = np.empty((rows, compositions[0].weights.shape[1]), dtype=np.float32)
    missing = np.arange(rows)
    in_vain = 0
    while len(missing):
        codes[missing], possible = _chains(compositions, asked[missing], random, selecting)
        in_vain = 0 if possible.any() else in_vain + len(missing)
        missing = missing[~possible]
        if in_vain > MOST_CHAINS:
            raise WorkbenchError(
                "bad-world",
                "The selection lets hardly any row of this world through",
                f"no row was found in which highest concept {asked[missing[0]]} is on and at most {selecting.most} are",
                "Raise most, or lower shared or needed.",
            )
    return codes


def _chains(
    compositions: Sequence[Composition], asked: Indices, random: np.random.Generator, selecting: Selecting
) -> tuple[Array, Flags]:
    """(codes, found an allowed row) of one chain per row, given the highest concept `asked`, `row`."""
    loops, below, rows = chains(), _below(compositions), len(asked)
    prior = float(np.log(selecting.share / (1 - selecting.share)))
    wholes = loops.Wholes(*_wholes(compositions), selecting.most, selecting.orphans)
    listed, sizes = np.argsort(~below, axis=1, kind="stable"), below.sum(axis=1)
    gain = prior - np.array([np.log(RARE / (1 - RARE)), 0.0])
    proposals = loops.Proposals(REDRAWS, listed, sizes, RARE, gain)
    shape = rows, below.shape[1]
    strength = random.lognormal(0, selecting.spread, shape).astype(np.float32)
    on, weight = np.empty(shape, dtype=np.bool_), np.empty(rows)
    generators = random.spawn(-(-rows // BLOCK))

    def work(first: int, last: int) -> None:
        for at in range(first, last, BLOCK):
            some = slice(at, min(at + BLOCK, last))
            loops.run(
                generators[at // BLOCK], asked[some], strength[some], wholes, prior, proposals, selecting.sweeps,
                on[some], weight[some],
            )  # fmt: skip

    def cuts(parts: int) -> list[int]:
        return [*(len(generators) * part // parts * BLOCK for part in range(parts)), rows]

    shared(work, rows, cuts)
    return on * strength, weight > loops.IMPOSSIBLE


def _wholes(compositions: Sequence[Composition]) -> tuple[Indices, Indices, Array, int]:
    """Where the parts of each whole start, all parts, all thresholds, and the first of the highest wholes.
    Concepts are numbered from the lowest storey up."""
    parts, first = [], 0
    for composition in compositions:
        parts += [first + np.flatnonzero(row) for row in composition.weights]
        first += composition.weights.shape[1]
    starts = np.cumsum([0, *map(len, parts)])
    thresholds = np.concatenate([composition.thresholds for composition in compositions])
    return starts, np.concatenate(parts), thresholds, len(parts) - len(compositions[-1].thresholds)


def _below(compositions: Sequence[Composition]) -> Flags:
    """Which lowest concepts are below each highest one, `highest low`."""
    below = np.eye(len(compositions[-1].weights), dtype=np.bool_)
    for composition in reversed(compositions):
        below = (below @ composition.weights) > 0
    return np.asarray(below)
