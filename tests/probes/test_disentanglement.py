"""Disentanglement against values known in closed form (oracle values of the field's definitions)."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from probes.metrics.disentanglement import (
    dci,
    dci_of,
    interventional_robustness,
    mutual_information_gap,
    separated_attribute_predictability,
)

Floats = NDArray[np.float64]


def uniform(factors: int, rows: int = 20_000) -> Floats:
    return np.random.default_rng(0).uniform(-1, 1, (rows, factors))


def test_a_permutation_with_signs_and_scales_is_perfect() -> None:
    z = uniform(3)
    h = z[:, [2, 0, 1]] * [-3.0, 0.5, 2.0]
    assert mutual_information_gap(h, z) == pytest.approx(0.997, abs=2e-3)
    assert separated_attribute_predictability(h, z) == pytest.approx(1, abs=2e-3)
    found = dci(h[:2000], z[:2000])
    assert found == pytest.approx((1, 1, 1), abs=5e-3)


def test_a_rotation_of_two_equal_factors_separates_nothing() -> None:
    z = np.random.default_rng(0).standard_normal((20_000, 2))
    h = z @ (np.array([[1, -1], [1, 1]]) / np.sqrt(2))
    assert separated_attribute_predictability(h, z) == pytest.approx(0, abs=0.03)
    assert mutual_information_gap(h, z) == pytest.approx(0, abs=0.02)
    assert dci_of(np.full((2, 2), 0.5)) == pytest.approx((0, 0), abs=1e-12)


def test_a_code_that_is_there_twice_costs_completeness_and_gaps_but_not_disentanglement() -> None:
    z = uniform(2)
    h = z[:, [0, 0, 1]]
    assert mutual_information_gap(h, z) == pytest.approx(0.5, abs=5e-3)
    assert separated_attribute_predictability(h, z) == pytest.approx(0.5, abs=5e-3)
    separated, complete = dci_of(np.array([[0.5, 0], [0.5, 0], [0, 1.0]]))
    assert separated == pytest.approx(1)
    assert complete == pytest.approx((1 - np.log(2) / np.log(3) + 1) / 2) == pytest.approx(0.6845, abs=1e-4)


def test_a_code_stays_where_its_factor_is_held_or_strays_with_another() -> None:
    z = np.random.default_rng(0).integers(0, 5, (4000, 3)).astype(np.float64)
    assert interventional_robustness(z[:, [1, 2, 0]], z) == 1
    both = z[:, :1] + z[:, 1:2]
    assert interventional_robustness(both, z) == pytest.approx(0.5, abs=0.02)  # ±2 of ±4 is left to the other factor
    assert interventional_robustness(np.zeros((4000, 2)), z) == 0


def test_dead_codes_and_constant_factors_count_as_nothing() -> None:
    z = uniform(2, 500)
    dead = np.concatenate([z, np.zeros((500, 1))], axis=1)
    assert separated_attribute_predictability(dead, z) == pytest.approx(1, abs=0.02)
    assert dci_of(np.array([[1.0, 0], [0, 1], [0, 0]])) == pytest.approx((1, 1))
    with pytest.raises(ValueError, match="constant"):
        dci(z, np.stack([z[:, 0], np.ones(500)], axis=1))
