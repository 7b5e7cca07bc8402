"""Is a factor in the codes at all? Held-out R² of known factors, whichever codes carry them.

Stands beside the mean correlation coefficient: a task may keep all information (R² near 1) while no single code
stands for a factor (task-constraint, B3). Everything is fitted on one part of the rows and scored on another; codes
and factors are standardised with the means and deviations of the first part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
PENALTIES = (1.0, 0.1, 0.01, 0.001)  # of the kernel ridge
WIDTHS = (0.01, 0.1, 1.0)  # γ of the kernel, for codes of unit variance, divided by their number
LINEAR = tuple(10.0**power for power in range(-4, 5))
FOLDS = 3
MOST_ROWS = 2000  # that a kernel is fitted on: its cost is their cube
LEAST_DEVIATION = 1e-9


class Blocks(NamedTuple):
    """`own`: R² of each block of factors from its own codes, `leak`: the mean one of the other blocks from them, both
    `block`. Content and style are told apart where `own` is high and `leak` low."""

    own: Floats
    leak: Floats


def information(
    codes: Floats,
    factors: Floats,
    *,
    by: Literal["linear", "kernel"] = "linear",
    held_out: float = 0.5,
    seed: int = 0,
) -> Floats:
    """R² per factor, `factor`, of `codes` `row code` for `factors` `row factor`; what is held out is drawn at random.

    `linear` is a ridge, `kernel` a ridge on a radial kernel; penalties and widths are chosen by cross-validation among
    the fitted rows. Below 0 where the codes serve worse than the mean.

    Raises `ValueError` with too few rows to fit and to score, NaN, or a factor that is constant in either part.
    """
    _check(codes, factors)
    fitted, scored = _halves(len(codes), held_out, seed)
    return _scored(codes, factors, fitted, scored, by, seed)


def transferred(
    codes: Floats,
    factors: Floats,
    new_codes: Floats,
    new_factors: Floats,
    *,
    held_out: float = 0.5,
    seed: int = 0,
) -> Floats:
    """R² per factor, `factor`, on new rows of the very line that `information` fits on rows of another kind: nothing is
    fitted or standardised by the new ones, and what they vary about is their own mean.

    Raises `ValueError` as `information` does.
    """
    _check(codes, factors)
    _check(new_codes, new_factors)
    fitted, _ = _halves(len(codes), held_out, seed)
    new = np.arange(len(codes), len(codes) + len(new_codes))
    codes, factors = np.concatenate([codes, new_codes]), np.concatenate([factors, new_factors])
    return _scored(codes, factors, fitted, new, "linear", seed)


def block_information(
    codes: Sequence[Floats],
    factors: Sequence[Floats],
    *,
    by: Literal["linear", "kernel"] = "linear",
    held_out: float = 0.5,
    seed: int = 0,
) -> Blocks:
    """What each block of codes, `row code` each, says of each block of factors, `row factor` each.

    Raises `ValueError` as `information` does, and with another number of blocks of codes than of factors.
    """
    if len(codes) != len(factors) or not codes:
        raise ValueError(f"{len(codes)} blocks of codes stand beside {len(factors)} blocks of factors; pair them")
    table = np.array(
        [[information(x, y, by=by, held_out=held_out, seed=seed).mean() for y in factors] for x in codes]
    )  # codes factors
    own = np.diagonal(table).copy()
    others = len(codes) - 1
    return Blocks(own, (table.sum(axis=1) - own) / others if others else np.zeros(1))


def _halves(rows: int, held_out: float, seed: int) -> tuple[Places, Places]:
    """Rows to fit on and rows to score on."""
    order = np.random.default_rng(seed).permutation(rows)
    cut = int(rows * (1 - held_out))
    if cut < 2 * FOLDS or rows - cut < 2:
        raise ValueError(f"{rows} rows are too few to fit on one part and score on another; draw more")
    return order[:cut], order[cut:]


def _scored(codes: Floats, factors: Floats, fitted: Places, scored: Places, by: str, seed: int) -> Floats:
    if min(factors[part].std(axis=0).min() for part in (fitted, scored)) < LEAST_DEVIATION:
        raise ValueError("a factor is constant in a part of the rows; leave it out, or draw more rows")
    x, y = (_standardised(part, fitted) for part in (codes, factors))
    predicted = _predicted(x[fitted], y[fitted], x[scored], by, seed)
    return np.asarray(r2_score(y[scored], predicted, multioutput="raw_values"))


def _predicted(x: Floats, y: Floats, unseen: Floats, by: str, seed: int) -> Floats:
    """`row factor`, standardised."""
    if by == "linear":
        return np.asarray(RidgeCV(LINEAR).fit(x, y).predict(unseen)).reshape(len(unseen), -1)
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    search = {"alpha": PENALTIES, "gamma": [width / x.shape[1] for width in WIDTHS]}
    some = slice(0, MOST_ROWS)
    columns = [
        GridSearchCV(KernelRidge(kernel="rbf"), search, cv=folds).fit(x[some], column[some]).predict(unseen)
        for column in y.T
    ]
    return np.stack(columns, axis=1)


def _standardised(part: Floats, fitted: NDArray[np.int64]) -> Floats:
    deviation = part[fitted].std(axis=0)
    return np.asarray((part - part[fitted].mean(axis=0)) / np.where(deviation > LEAST_DEVIATION, deviation, 1.0))


def _check(codes: Floats, factors: Floats) -> None:
    if len(codes) != len(factors):
        raise ValueError(f"{len(codes)} rows of codes stand beside {len(factors)} rows of factors; pair them")
    if not (np.isfinite(codes).all() and np.isfinite(factors).all()):
        raise ValueError("codes or factors hold NaN or infinity; leave those rows out")
