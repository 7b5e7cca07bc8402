"""Rows that are means over seeds carry Student's t interval, whichever suite they are of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from app.suites import bands, grid, identifiability, identifiability_checks, orientation, ranked, worlds
from app.suites.rows import Row
from probes.worlds.layers import NAMES

VALUES = [0.61, 0.7, 0.58]  # of three seeds
T = stats.t.interval(0.95, 2, np.mean(VALUES), stats.sem(VALUES))
APART = np.array([-0.1, 0.0, 0.1])  # items of a seed, about its value


def _world(value: float, **more: Any) -> Any:
    seen = dict.fromkeys(("correlation", "cosine", "f1", "absorbed", "absorption_gap"), value + APART)
    figures = dict.fromkeys((*worlds.SHOWN, "seconds", "learning_rate"), value)
    return SimpleNamespace(recovered=SimpleNamespace(**seen | more), figures=figures)


def _recovered(value: float) -> Any:
    level = np.repeat(np.arange(len(NAMES)), 3)
    seen = np.tile(value + APART, len(NAMES))
    named = dict.fromkeys(("correlation", "hits", "blocks", "absorbed", "gap"), seen)
    return SimpleNamespace(level=level, **named)


def _read(value: float) -> list[Any]:
    """One world of either kind."""
    return [orientation._Seen(composes, "a-b", "true", value, "composes") for composes in (True, False)]


def _known(value: float) -> tuple[np.ndarray, np.ndarray]:
    """Of 100 pairs of full frequency, this share is true."""
    return np.ones(100), np.arange(100) < round(100 * value)


SUITES: dict[str, Callable[[], Iterable[Row]]] = {
    "grid": lambda: grid._over_worlds("x", dict(enumerate(VALUES)), "-", "up"),
    "ranked": lambda: ranked.seeds_row("x", VALUES, "-", "up"),
    "bands": lambda: bands._rows("x", [dict.fromkeys(bands.SHOWN, value) for value in VALUES]),
    "worlds": lambda: worlds._rows("x", "x", {"topk": [_world(value) for value in VALUES]}),
    "concepts": lambda: identifiability.concept_rows("x", [_recovered(value) for value in VALUES]),
    "calibration": lambda: identifiability_checks._curve("x", [_known(value) for value in VALUES], ""),
    "orientation": lambda: [
        row
        for row in orientation._rows("x", [one for value in VALUES for one in _read(value)])
        if row.name.endswith(".dependence")
    ],
}


@pytest.mark.parametrize("rows", SUITES.values(), ids=SUITES)
def test_a_mean_over_three_seeds_has_the_interval_that_holds(rows: Callable[[], Iterable[Row]]) -> None:
    found = [row for row in rows() if row.low is not None and row.seeds > 1]
    assert found
    for row in found:
        assert (row.value, row.low, row.high) == pytest.approx((np.mean(VALUES), *T)), row.name


def test_paired_gains_over_seeds_have_it_too() -> None:
    flat = [_world(0.5 + 0.01 * at) for at in range(3)]
    rows = {row.name: row for row in worlds._against("x", "x", "nested", list(map(_world, VALUES)), flat)}
    gains = [value - 0.5 - 0.01 * at for at, value in enumerate(VALUES)]
    wanted = stats.t.interval(0.95, 2, np.mean(gains), stats.sem(gains))
    for name in ("mcc_gain", "explained_variance_gain"):
        row = rows[f"worlds.x.nested_over_{worlds.FLAT}.{name}"]
        assert (row.value, row.low, row.high) == pytest.approx((np.mean(gains), *wanted))


def test_a_ratio_of_means_over_seeds_is_covered_as_often_as_its_interval_says() -> None:
    random = np.random.default_rng(0)
    held = []
    for _ in range(1000):
        pairs = [(1 + random.normal() / 10, 2 + random.normal() / 5) for _ in range(5)]
        made = [[_world(0.5, absorbed=np.array([value])) for value in side] for side in zip(*pairs, strict=True)]
        row = next(row for row in worlds._against("x", "x", "nested", *made) if row.name.endswith("absorbed_ratio"))
        held.append(row.low <= 0.5 <= row.high)  # type: ignore[operator]
    assert np.mean(held) == pytest.approx(0.95, abs=0.021)


def test_one_number_has_no_interval() -> None:
    (row,) = grid._over_worlds("x", {0: 0.5}, "-", "up")
    assert (row.value, row.low, row.high) == (0.5, None, None)
