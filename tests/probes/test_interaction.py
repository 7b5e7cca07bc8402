"""The test of interaction: shares add up, main effects are none, and chance is what it says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from probes.metrics.interaction import interaction

RANDOM = np.random.default_rng(0)
ROWS, COLUMNS, SEEDS = np.arange(3)[:, None, None], np.arange(4)[None, :, None], np.arange(5)[None, None, :]
SHAPE = (7, 6)  # tasks and constraints of the grid

Noise = Callable[[np.random.Generator, int], np.ndarray]  # `row column world`


def test_a_table_without_noise_is_taken_apart_by_hand() -> None:
    """Rows 0 and 1, columns 0 and 1; the interaction is ±1 and the rows are ±2: squares 1 to 4."""
    sign = np.array([[1.0, -1.0], [-1.0, 1.0]])[..., None]
    found = interaction(sign + np.array([2.0, -2.0])[:, None, None] + np.zeros((2, 2, 3)))
    assert found[:5] == pytest.approx((0.8, 0.0, 0.0, 0.2, 0.0))


def test_main_effects_alone_are_no_interaction() -> None:
    table = 3.0 * ROWS - 2.0 * COLUMNS**2 + 5.0 * SEEDS + RANDOM.normal(size=(3, 4, 5))
    found = interaction(table)
    assert found.p > 0.05 and found.interaction < found.chance_high
    assert sum(found[:5]) == pytest.approx(1.0)


def test_an_effect_that_depends_on_the_row_is_found() -> None:
    table = 3.0 * ROWS + 1.5 * (ROWS == 1) * (COLUMNS == 2) + 0.3 * RANDOM.normal(size=(3, 4, 5))
    found = interaction(table)
    assert found.p < 0.01 and found.interaction > found.chance_high > found.chance


def _spread(*at: slice | int, sd: float, rest: float) -> Noise:
    """Normal noise, of one spread at some cells and of another elsewhere."""
    spread = np.full((*SHAPE, 1), rest)
    spread[at] = sd
    return lambda random, worlds: random.normal(size=(*SHAPE, worlds)) * spread


def _shared(random: np.random.Generator, worlds: int) -> np.ndarray:
    """Two tasks alike fare well or badly together, by constraint and world."""
    noise = random.normal(size=(*SHAPE, worlds)) * 0.02
    noise[:2] += random.normal(size=(1, SHAPE[1], worlds)) * 0.12
    return noise


NOISES: dict[str, Noise] = {
    "equal": _spread(sd=0.05, rest=0.05),
    "by task": _spread(-1, sd=0.12, rest=0.05),
    "one constraint": _spread(slice(None), 4, sd=0.2, rest=0.03),
    "one cell": _spread(0, 4, sd=0.25, rest=0.02),
    "two cells": _spread(slice(0, 2), 4, sd=0.25, rest=0.02),
    "two tasks go together": _shared,
}


def _main(random: np.random.Generator, worlds: int) -> np.ndarray:
    tasks, constraints = random.normal(size=(SHAPE[0], 1, 1)), random.normal(size=(1, SHAPE[1], 1))
    return np.asarray(0.15 * tasks + 0.03 * constraints + 0.03 * random.normal(size=(1, 1, worlds)))


@pytest.mark.parametrize("worlds", [3, 5])
@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_chance_reaches_five_percent_about_that_often_wherever_the_noise_lies(noise: Noise, worlds: int) -> None:
    random = np.random.default_rng(worlds)
    found = [interaction(_main(random, worlds) + noise(random, worlds), draws=499, seed=n) for n in range(600)]
    assert 0.02 < np.mean([one.p <= 0.05 for one in found]) < 0.08
    assert np.mean([one.interaction for one in found]) == pytest.approx(np.mean([one.chance for one in found]), rel=0.1)
    assert np.mean([one.interaction > one.chance_high for one in found]) < 0.08


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_a_plain_interaction_is_found_in_five_worlds(noise: Noise) -> None:
    random, found = np.random.default_rng(0), []
    for n in range(40):
        effect = _spread(sd=0.06, rest=0.06)(random, 1)
        found.append(interaction(_main(random, 5) + effect + noise(random, 5), draws=499, seed=n))
    assert np.mean([one.p <= 0.05 for one in found]) > 0.7


@pytest.mark.parametrize("worlds", [2, 5, 12])
def test_of_two_rows_and_two_columns_p_is_that_of_students_t(worlds: int) -> None:
    table = np.random.default_rng(worlds).normal(size=(2, 2, worlds)) + np.array([[1.0, 0.0], [0.0, 0.0]])[..., None]
    difference = table[0, 0] - table[0, 1] - table[1, 0] + table[1, 1]
    assert interaction(table).p == pytest.approx(stats.ttest_1samp(difference, 0).pvalue, abs=0.01)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (np.zeros((1, 3, 3)), "two rows"),
        (np.full((2, 2, 2), np.nan), "without a value"),
        (np.ones((2, 2, 2)), "same value"),
    ],
)
def test_a_table_that_cannot_be_taken_apart_is_refused(table: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        interaction(table)
