"""What comes of steering at several strengths, as arrays: how much it does, to what else, and at what price.

Everything here is a function of numbers per item (`strength item`), whatever the items are: texts or pictures.
The same items stand in the same columns in every arm, so that differences between arms are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from probes.metrics.intervals import Interval, bootstrap

Table = NDArray[np.float64]


class Doses(NamedTuple):
    """One arm at rising `strengths`. `effect` (`strength item`): what was asked for happened, 0 to 1 or a score;
    `kept`: by name, something else stayed as it was, 0 to 1; `collateral` and `off_manifold`: how much changed
    that should not have, and how far the outcome lies from anything real. All but effect and kept: lower is better.
    """

    arm: str
    strengths: tuple[float, ...]
    effect: Table
    kept: dict[str, Table]
    collateral: Table
    off_manifold: Table

    def response(self) -> list[Interval]:
        """Mean effect at each strength, with its interval over items."""
        return [bootstrap([row]) for row in self.effect]

    def monotone(self) -> float:
        """Spearman correlation of strength and mean effect; 0 where the effect is the same at every strength."""
        return spearman(self.strengths, self.effect.mean(axis=1))

    def selectivity(self) -> Table:
        """Mean effect minus the largest loss among what should have been kept, `strength`."""
        return np.asarray(self.effect.mean(axis=1) - self.loss())

    def loss(self) -> Table:
        """The largest loss among what should have been kept, `strength`; 0 where nothing should."""
        lost = [1 - table.mean(axis=1) for table in self.kept.values()]
        return np.max(lost, axis=0) if lost else np.zeros(len(self.strengths))

    def at(self, strength: float) -> int:
        """The row of a strength. Raises `ValueError` for one that was not measured."""
        return self.strengths.index(strength)


def working_strength(doses: Doses) -> float:
    """The strength of best selectivity, the weakest among equals: to be chosen on other items than are scored."""
    found = doses.selectivity()
    return doses.strengths[int(np.flatnonzero(found >= found.max() - 1e-12)[0])]


def best_form(forms: Sequence[Doses]) -> tuple[int, float]:
    """Which of several forms of an arm is most selective, and at which strength; the first and the weakest among
    equals. To be chosen on other items than are scored."""
    tops = [float(found.selectivity().max()) for found in forms]
    at = int(np.flatnonzero(np.array(tops) >= max(tops) - 1e-12)[0])
    return at, working_strength(forms[at])


def beyond(arm: Doses, control: Doses, strength: float, control_strength: float | None = None) -> Interval:
    """Mean effect of an arm minus that of a control on the same items, with its paired interval."""
    row = arm.effect[arm.at(strength)]
    other = control.effect[control.at(strength if control_strength is None else control_strength)]
    return bootstrap([row - other])


def spearman(left: Sequence[float] | Table, right: Sequence[float] | Table) -> float:
    """Rank correlation; 0 where one side does not vary."""
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return 0.0
    return float(stats.spearmanr(left, right).statistic)


class Point(NamedTuple):
    """One arm at one strength: mean effect and mean price."""

    arm: str
    strength: float
    effect: float
    price: float


def points(arms: Sequence[Doses], price: str = "collateral") -> list[Point]:
    """Every arm at every strength, its price being `collateral`, `off_manifold` or `loss`."""
    found = []
    for doses in arms:
        prices: Table = doses.loss() if price == "loss" else getattr(doses, price).mean(axis=1)
        means = zip(doses.strengths, doses.effect.mean(axis=1), prices, strict=True)
        found += [Point(doses.arm, strength, float(effect), float(cost)) for strength, effect, cost in means]
    return found


def pareto_front(candidates: Sequence[Point]) -> list[Point]:
    """Those that no other one beats (as much effect for less, or more for as little), cheapest first."""
    front: list[Point] = []
    for point in sorted(candidates, key=lambda point: (point.price, -point.effect)):
        if not front or point.effect > front[-1].effect:
            front.append(point)
    return front


def front_area(front: Sequence[Point], most: float) -> float:
    """Mean over prices from 0 to `most` of the best effect to be had at that price, from 0 to 1 for an effect of
    that range. Doing nothing is always to be had: its effect is 0."""
    if most <= 0:
        raise ValueError("a front has no area below a price of 0")
    area, best, at = 0.0, 0.0, 0.0
    for point in pareto_front(front):
        if point.price >= most:
            break
        area += best * (point.price - at)
        best, at = max(best, point.effect), point.price
    return (area + best * (most - at)) / most


class HeatMap(NamedTuple):
    """Mean effect by noise window (`window`, from noisy to finished) and strength: `window strength`."""

    windows: tuple[tuple[float, float], ...]
    strengths: tuple[float, ...]
    effect: Table


def heat_map(by_window: Mapping[tuple[float, float], Doses]) -> HeatMap:
    """Doses of one arm in several noise windows as one map. Raises `ValueError` where their strengths differ."""
    windows = tuple(sorted(by_window, reverse=True))
    strengths = {by_window[window].strengths for window in windows}
    if len(strengths) != 1:
        raise ValueError("all windows of a heat map need the same strengths")
    rows = [by_window[window].effect.mean(axis=1) for window in windows]
    return HeatMap(windows, strengths.pop(), np.stack(rows))


def distinguishing(codes: Table, on: NDArray[np.bool_], count: int) -> list[int]:
    """The latents whose mean code over items where a concept is on exceeds that over the others most, at most
    `count` of them and none below zero. `codes`: `item latent`, in comparable units; `on`: `item`."""
    contrast = codes[on].mean(axis=0) - codes[~on].mean(axis=0)
    return [int(latent) for latent in np.argsort(-contrast, kind="stable")[:count] if contrast[latent] > 0]
