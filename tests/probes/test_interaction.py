"""The test of interaction: shares add up, main effects are none, and chance is what it says."""

from __future__ import annotations

import numpy as np
import pytest

from probes.metrics.interaction import interaction

RANDOM = np.random.default_rng(0)
ROWS, COLUMNS, SEEDS = np.arange(3)[:, None, None], np.arange(4)[None, :, None], np.arange(5)[None, None, :]


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


def test_chance_reaches_five_percent_about_that_often() -> None:
    p = [interaction(RANDOM.normal(size=(3, 3, 3)) + ROWS[:, :3], shuffles=99, seed=n).p for n in range(200)]
    assert 0.01 < np.mean(np.array(p) <= 0.05) < 0.11


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
