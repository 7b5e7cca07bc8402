"""Information about known factors: closed-form values, and what a component-wise score does not see."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from probes.metrics.information import block_information, information

ROWS = 3000
RANDOM = np.random.default_rng(0)
FACTORS = RANDOM.normal(size=(ROWS, 4))


@pytest.mark.parametrize("by", ["linear", "kernel"])
def test_a_rotation_keeps_all_information(by: Literal["linear", "kernel"]) -> None:
    turn = np.linalg.qr(RANDOM.normal(size=(4, 4)))[0]
    assert information(FACTORS @ turn, FACTORS, by=by) == pytest.approx(1, abs=0.01)


def test_noise_leaves_the_share_of_variance_that_is_signal() -> None:
    """y = x + e, both of unit variance: R² = 1/2; of codes that know nothing 0."""
    noisy = FACTORS + RANDOM.normal(size=FACTORS.shape)
    assert information(noisy, FACTORS) == pytest.approx(0.5, abs=0.05)
    assert information(RANDOM.normal(size=(ROWS, 3)), FACTORS) == pytest.approx(0, abs=0.02)


def test_a_kernel_finds_what_no_line_does() -> None:
    """The square of a symmetric factor has no correlation with it; of z³, z uniform, a line explains 21/25."""
    codes = FACTORS[:, :1]
    assert information(codes, codes**2)[0] == pytest.approx(0, abs=0.05)
    assert information(codes, codes**2, by="kernel")[0] > 0.95
    uniform = RANDOM.uniform(-1, 1, size=(20_000, 1))
    assert information(uniform**3, uniform)[0] == pytest.approx(21 / 25, abs=0.01)


def test_a_dead_code_costs_its_factor_alone_and_scale_costs_nothing() -> None:
    codes = FACTORS * np.array([1e3, -1e-3, 1, 0]) + 7
    found = information(codes, FACTORS)
    assert found[:3] == pytest.approx(1, abs=1e-6) and found[3] == pytest.approx(0, abs=0.02)


def test_blocks_say_what_is_their_own_and_what_leaks() -> None:
    content, style = FACTORS[:, :2], FACTORS[:, 2:]
    clean = block_information([content, style], [content, style])
    assert clean.own == pytest.approx(1, abs=1e-6) and clean.leak == pytest.approx(0, abs=0.02)
    mixed = block_information([FACTORS, style], [content, style])
    assert mixed.leak[0] == pytest.approx(1, abs=1e-6) and mixed.leak[1] == pytest.approx(0, abs=0.02)


def test_the_same_seed_gives_the_same_number_and_rows_in_order_do_not_matter_to_the_split() -> None:
    sorted_rows = np.sort(FACTORS, axis=0)
    assert information(sorted_rows, sorted_rows**3)[0] > 0.5, "not fitted on small and scored on large values"
    assert (information(FACTORS, FACTORS**2, seed=3) == information(FACTORS, FACTORS**2, seed=3)).all()


@pytest.mark.parametrize(
    ("codes", "factors", "said"),
    [
        (FACTORS[:5], FACTORS[:5], "5 rows are too few"),
        (FACTORS[:50], FACTORS[:40], "pair them"),
        (FACTORS, FACTORS * 0 + 1, "a factor is constant"),
        (np.where(FACTORS > 3, np.nan, FACTORS), FACTORS, "NaN"),
    ],
)
def test_what_cannot_be_scored_is_said(codes: Any, factors: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        information(codes, factors)
    with pytest.raises(ValueError, match="blocks"):
        block_information([FACTORS], [])
