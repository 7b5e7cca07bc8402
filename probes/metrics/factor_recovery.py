"""Which code is which factor? The mean correlation coefficient (MCC) of continuous factors, with its chance level.

MCC = (1/D) max over one-to-one matches π of Σ_i |corr(factor_i, code_π(i))| for D factors and K codes, also where the
codes do not suffice: a factor without a code of its own counts as 0, and so does one whose code is constant. Stands
beside `probes.metrics.information`, which asks whether a factor is in the codes at all.

The best match looks for large correlations, so on the rows it was found on it scores noise too: D = 10 factors and
K = 1000 codes of pure noise have MCC .334 on 100 rows. By default the match is found on one half of the rows and
scored on the other, which leaves of that only the mean |corr| of two columns that have nothing to do with each other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from probes.metrics.recovery import correlations, match

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
LEAST_SPREAD = 1e-9  # deviation of a column over its largest value, below which it is constant


class FactorRecovery(NamedTuple):
    """Per factor (`factor`): its code in the match by Pearson (-1: none left), and |Pearson| and |Spearman| with its
    codes in the matches by either. `chance`, `chance_spearman`: the MCC of the same codes with shuffled factors."""

    code: Places
    pearson: Floats
    spearman: Floats
    chance: float
    chance_spearman: float

    @property
    def mcc(self) -> float:
        return float(self.pearson.mean())

    @property
    def mcc_spearman(self) -> float:
        return float(self.spearman.mean())


class _Halves(NamedTuple):
    """Columns of unit variance, `row column` each: those a match is found on, and those it is scored on."""

    matching: Floats
    scoring: Floats


def factor_recovery(
    codes: Floats, factors: Floats, *, split: bool = True, shuffles: int = 10, seed: int = 0
) -> FactorRecovery:
    """MCC of `codes` `row code` for `factors` `row factor`, and the mean one over `shuffles` of the factors' rows.

    Without `split` match and score share all rows, as published numbers do: too high by about its chance level where
    rows are few or codes many.

    Raises `ValueError` with other rows of codes than of factors, fewer than four, or NaN.
    """
    check_pairs(codes, factors)
    random = np.random.default_rng(seed)
    places = random.permutation(len(codes))
    halves = (places[::2], places[1::2]) if split else (places, places)
    views = [_prepared(codes, halves, ranked) for ranked in (False, True)]
    (code, pearson), (_, spearman) = (
        _scored(view, _prepared(factors, halves, ranked)) for view, ranked in zip(views, (False, True), strict=True)
    )
    shuffled = [factors[random.permutation(len(factors))] for _ in range(shuffles)]
    chance, chance_spearman = (
        float(np.mean([_scored(view, _prepared(one, halves, ranked))[1].mean() for one in shuffled]))
        if shuffled
        else float("nan")
        for view, ranked in zip(views, (False, True), strict=True)
    )
    return FactorRecovery(code, pearson, spearman, chance, chance_spearman)


def matched(code: Places, codes: Floats, factors: Floats) -> Floats:
    """|Pearson| of each factor with the code that a match found on other rows gave it, `factor`; 0 where it has none.

    Raises `ValueError` as `factor_recovery` does.
    """
    check_pairs(codes, factors)
    found = correlations(standardised(factors), standardised(codes))[np.arange(len(code)), code]
    return np.where(code >= 0, found, 0.0)


def check_pairs(codes: Floats, factors: Floats, least: int = 4) -> None:
    """Raise `ValueError` unless codes `row code` and factors `row factor` are finite, of the same rows and enough."""
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors) or not codes.size or not factors.size:
        raise ValueError(
            f"codes {codes.shape} and factors {factors.shape} are no two tables of the same rows; pair them"
        )
    if len(codes) < least:
        raise ValueError(f"{len(codes)} rows are too few; {least} are needed")
    if not (np.isfinite(codes).all() and np.isfinite(factors).all()):
        raise ValueError("codes or factors hold NaN or infinity; leave those rows out")


def standardised(columns: Floats) -> Floats:
    """Each of `row column` with mean 0 and deviation 1; 0 where it is constant."""
    exact = columns.astype(np.float64)
    spread = exact.std(axis=0)
    alive = spread > LEAST_SPREAD * np.abs(exact).max(axis=0)
    return np.asarray((exact - exact.mean(axis=0)) * np.divide(1, spread, out=np.zeros_like(spread), where=alive))


def _prepared(columns: Floats, halves: tuple[Places, Places], ranked: bool) -> _Halves:
    parts = (columns[half] for half in halves)
    return _Halves(*(standardised(rankdata(part, axis=0) if ranked else part) for part in parts))


def _scored(codes: _Halves, factors: _Halves) -> tuple[Places, Floats]:
    """(code of each factor, |corr| with it on the rows to score), both `factor`."""
    chosen = match(correlations(factors.matching, codes.matching))
    found = correlations(factors.scoring, codes.scoring)[np.arange(len(chosen)), chosen]
    return chosen, np.where(chosen >= 0, found, 0.0)
