"""The MCC of continuous factors: closed-form values, its chance level, and what matching on the scored rows lends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from probes.metrics.factor_recovery import factor_recovery

RANDOM = np.random.default_rng(0)
UNIFORM = RANDOM.uniform(-1, 1, size=(20_000, 4))
NORMAL = RANDOM.normal(size=(20_000, 4))


@pytest.mark.parametrize("split", [True, False])
def test_order_sign_scale_and_place_cost_nothing(split: bool) -> None:
    order = [2, 0, 3, 1]
    found = factor_recovery(NORMAL[:, order] * np.array([1e6, -1e-9, 3, 1]) + np.array([1e8, 0, 0, -4]), NORMAL)
    assert found.mcc == pytest.approx(1, abs=1e-9) and found.mcc_spearman == pytest.approx(1, abs=1e-9)
    assert found.code.tolist() == np.argsort(order).tolist()
    assert factor_recovery(NORMAL, NORMAL, split=split, shuffles=0).mcc == pytest.approx(1)


def test_a_monotone_bend_costs_pearson_alone() -> None:
    """z³ of uniform z: √21/5."""
    found = factor_recovery(UNIFORM**3, UNIFORM, shuffles=0)
    assert found.mcc == pytest.approx(0.916515, abs=2e-3)
    assert found.mcc_spearman == pytest.approx(1)


def test_a_rotation_by_an_eighth_leaves_the_root_of_one_half() -> None:
    turn = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    assert factor_recovery(NORMAL[:, :2] @ turn, NORMAL[:, :2], shuffles=0).mcc == pytest.approx(0.70711, abs=5e-3)


def test_a_dead_code_and_a_missing_one_count_as_nothing() -> None:
    dead = NORMAL * np.array([1, 1, 0, 1]) + 0.1  # a constant whose deviation is rounding alone
    found = factor_recovery(dead, NORMAL, shuffles=0)
    assert found.mcc == pytest.approx(0.75, abs=1e-6) and found.pearson[2] == 0 == found.spearman[2]
    fewer = factor_recovery(NORMAL[:, 2:], NORMAL, shuffles=0)
    assert fewer.mcc == pytest.approx(0.5) and fewer.code.tolist() == [-1, -1, 0, 1]


def test_the_match_is_one_to_one_where_two_factors_like_one_code() -> None:
    """One code says both factors: only one of them may have it."""
    both = NORMAL[:, :1] + NORMAL[:, 1:2]
    found = factor_recovery(np.concatenate([both, np.zeros_like(both)], axis=1), NORMAL[:, :2], shuffles=0)
    assert sorted(found.pearson) == pytest.approx([0, np.sqrt(0.5)], abs=0.01)


@pytest.mark.parametrize(
    ("codes", "rows", "level", "repeats"),
    [
        (10, 100, 0.171, 40),
        (10, 1_000, 0.054, 10),
        (10, 10_000, 0.017, 4),
        (1000, 100, 0.334, 10),
        (1000, 1_000, 0.106, 2),
    ],
)
def test_matched_on_the_scored_rows_noise_has_a_known_level(codes: int, rows: int, level: float, repeats: int) -> None:
    h, z = RANDOM.normal(size=(rows, codes)), RANDOM.normal(size=(rows, 10))
    assert factor_recovery(h, z, split=False, shuffles=repeats).chance == pytest.approx(level, rel=0.08)


@pytest.mark.slow
def test_the_level_of_many_codes_on_many_rows() -> None:
    h, z = RANDOM.normal(size=(10_000, 1000)), RANDOM.normal(size=(10_000, 10))
    assert factor_recovery(h, z, split=False, shuffles=1).chance == pytest.approx(0.034, rel=0.05)


@pytest.mark.parametrize("codes", [10, 1000])
def test_scored_on_other_rows_noise_has_the_level_of_any_two_columns_however_many_codes_there_are(codes: int) -> None:
    """Mean |corr| of two columns of 500 rows: √(2/(500 π))."""
    h, z = RANDOM.normal(size=(1000, codes)), RANDOM.normal(size=(1000, 10))
    found = factor_recovery(h, z, shuffles=6)
    assert found.chance == pytest.approx(np.sqrt(2 / (500 * np.pi)), rel=0.25)
    assert found.chance_spearman == pytest.approx(found.chance, rel=0.35)


def test_the_same_seed_gives_the_same_numbers() -> None:
    codes = NORMAL[:200] + RANDOM.normal(size=(200, 4))
    one, two, other = (factor_recovery(codes, NORMAL[:200], seed=seed) for seed in (1, 1, 2))
    assert one.mcc == two.mcc != other.mcc and one.chance == two.chance != other.chance


@pytest.mark.parametrize(
    ("codes", "factors", "said"),
    [
        (NORMAL[:3], NORMAL[:3], "3 rows are too few"),
        (NORMAL[:50], NORMAL[:40], "pair them"),
        (NORMAL[:50, :0], NORMAL[:50], "pair them"),
        (np.where(NORMAL > 3, np.inf, NORMAL), NORMAL, "NaN or infinity"),
    ],
)
def test_what_cannot_be_scored_is_said(codes: Any, factors: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        factor_recovery(codes, factors)
