"""Does the effect of one thing depend on another? The interaction in a two-way table over seeds, beside chance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Interaction(NamedTuple):
    """Shares of the total sum of squares: of rows, columns, seeds, the interaction of rows and columns, and what is
    left; the interaction's share under chance (mean and 95 % quantile); and how often chance reaches it, p."""

    rows: float
    columns: float
    seeds: float
    interaction: float
    residual: float
    chance: float
    chance_high: float
    p: float


def interaction(table: Floats, *, shuffles: int = 2000, seed: int = 0) -> Interaction:
    """Two-way analysis of variance of `row column seed`, seeds as blocks.

    Chance: residuals of the additive model (rows + columns + seeds) change places freely, and the table is taken apart
    again (Freedman & Lane 1983), so that main effects cannot pass for an interaction.

    Raises `ValueError` with fewer than two rows, columns or seeds, with NaN, or a table of one value.
    """
    if table.ndim != 3 or min(table.shape) < 2:
        raise ValueError(f"an interaction wants two rows, columns and seeds at least, not {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("the table has cells without a value; leave their row or column out")
    centred = table - table.mean()
    total = float(np.square(centred).sum())
    if total < 1e-15:
        raise ValueError("every cell has the same value: there is nothing to take apart")
    main = [_means(centred, axis) for axis in range(3)]
    additive = sum(main, np.zeros_like(table))
    residuals = centred - additive
    random = np.random.default_rng(seed)
    drawn = np.empty(shuffles)
    for at in range(shuffles):
        shuffled = additive + random.permutation(residuals.ravel()).reshape(table.shape)
        shuffled -= shuffled.mean()
        drawn[at] = _between(shuffled) / np.square(shuffled).sum()
    found = _between(centred) / total
    shares = [float(np.square(part).sum()) / total for part in main]
    return Interaction(
        rows=shares[0],
        columns=shares[1],
        seeds=shares[2],
        interaction=found,
        residual=1 - sum(shares) - found,
        chance=float(drawn.mean()),
        chance_high=float(np.quantile(drawn, 0.95)),
        p=float((1 + (drawn >= found - 1e-12).sum()) / (1 + shuffles)),
    )


def _means(centred: Floats, axis: int) -> Floats:
    """The means along one axis, spread over the table."""
    others = tuple(at for at in range(3) if at != axis)
    return np.broadcast_to(centred.mean(axis=others, keepdims=True), centred.shape)


def _between(centred: Floats) -> float:
    """Sum of squares of rows and columns together beyond that of each."""
    cell = np.broadcast_to(centred.mean(axis=2, keepdims=True), centred.shape)
    return float(np.square(cell - _means(centred, 0) - _means(centred, 1)).sum())
