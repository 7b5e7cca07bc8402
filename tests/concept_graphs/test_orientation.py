"""Composes or generates? On data of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from app.worker import execute
from concept_graphs.orientation import orientation
from probes.hierarchy.codes import PairedCodes
from tests.fixtures.suites import few_resamples, rows_of, run_of

PARTS, WHOLES, ROWS = 4, 3, 4000
EDGES = (list(range(PARTS * WHOLES)), [p // PARTS for p in range(PARTS * WHOLES)])


def codes(low: np.ndarray, high: np.ndarray) -> PairedCodes:
    return PairedCodes(sparse.csr_matrix(low.astype(float)), sparse.csr_matrix(high.astype(float)), np.arange(len(low)))


def composed(seed: int = 0) -> PairedCodes:
    """Parts are tossed; a whole is on where exactly two of its four parts are: given the whole, φ of two parts is
    −1/3 (of six equal cases one has both, one neither)."""
    low = np.random.default_rng(seed).random((ROWS, PARTS * WHOLES)) < 0.5
    return codes(low, low.reshape(ROWS, WHOLES, PARTS).sum(axis=2) == 2)


def generated(seed: int = 0) -> PairedCodes:
    """Wholes are tossed; each that is on turns each of its parts on by another toss."""
    draw = np.random.default_rng(seed)
    high = draw.random((ROWS, WHOLES)) < 0.5
    low = np.repeat(high, PARTS, axis=1) & (draw.random((ROWS, PARTS * WHOLES)) < 0.6)
    return codes(low, high)


def test_parts_of_a_selection_depend_on_each_other_as_counting_says() -> None:
    found = orientation(composed(), *EDGES)
    assert found.reading == "composes" and found.dependence is not None
    assert found.dependence.value == pytest.approx(-1 / 3, abs=0.05) and found.dependence.n == WHOLES


def test_parts_that_a_whole_turns_on_do_not() -> None:
    found = orientation(generated(), *EDGES)
    assert found.reading == "generates" and found.dependence is not None
    assert found.dependence.value == pytest.approx(0, abs=0.04)


def test_parts_with_two_common_causes_are_compared_where_one_of_them_is_off() -> None:
    """Two wholes turn on the same parts: whichever of them one looks at, the other makes the parts go together."""
    draw = np.random.default_rng(0)
    high = draw.random((ROWS, 2)) < 0.4
    reached = 1 - (1 - 0.3 * high[:, [0]]) * (1 - 0.6 * high[:, [1]])
    low = draw.random((ROWS, 4)) < reached
    edges = ([p for p in range(4) for _ in range(2)], [0, 1] * 4)
    found = orientation(codes(low, high), *edges)
    assert found.reading == "generates" and abs(found.dependence.value) < 0.04  # type: ignore[union-attr]
    one_known = orientation(codes(low, high), list(range(4)), [0] * 4)
    assert one_known.dependence.value > 0.05  # type: ignore[union-attr]


def test_too_little_to_tell_is_undecided() -> None:
    few = composed()
    assert orientation(PairedCodes(few.low[:20], few.high[:20], few.chunk[:20]), *EDGES) == (None, "undecided")
    assert orientation(few, [0, 4, 8], [0, 1, 2]) == (None, "undecided")
    assert orientation(few, [], []) == (None, "undecided")


def one_whole(seed: int, parts: int, rows: int, within: float = 0.0) -> PairedCodes:
    """A whole tossed on or off, and parts that are independent given it or, as often as `within` says, just one."""
    draw = np.random.default_rng(seed)
    high = draw.random((rows, 1)) < 0.5
    low = high & (draw.random((rows, parts)) < 0.4)
    alone = np.arange(parts) == draw.integers(parts, size=(rows, 1))
    return codes(np.where(draw.random((rows, 1)) < within, high & alone, low), high)


@pytest.mark.parametrize(("parts", "rows"), [(2, 400), (2, 4000), (4, 400)])
def test_independent_parts_of_a_single_whole_are_not_read_as_a_selection(parts: int, rows: int) -> None:
    edges = (list(range(parts)), [0] * parts)
    found = [orientation(one_whole(seed, parts, rows), *edges) for seed in range(100)]
    seen = [one.dependence for one in found if one.dependence is not None]
    assert sum(one.reading == "composes" for one in found) <= 2
    assert np.mean([one.low <= 0 <= one.high for one in seen]) >= 0.88, "intervals hold the truth"
    assert {one.n for one in seen} == {1}


def test_a_single_whole_is_read_where_its_rows_tell() -> None:
    edges = (list(range(4)), [0] * 4)
    assert orientation(one_whole(0, 4, 4000), *edges).reading == "generates"
    assert orientation(one_whole(0, 4, 4000, within=1.0), *edges).reading == "composes"
    few = one_whole(0, 4, 4000)
    chunk = np.arange(4000) // 800
    assert orientation(PairedCodes(few.low, few.high, chunk), *edges) == (None, "undecided"), "five chunks tell little"


def test_worlds_of_either_kind_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    few_resamples(monkeypatch)
    rows = rows_of(execute(run_of("orientation", suite="orientation", orientation={"worlds": 2, "rows": 2000})))
    for edges in ("true", "lasso"):
        assert rows[f"orientation.{edges}.middle-high.auroc"].n == 4
        for answer in ("composes", "generates"):
            shares = [rows[f"orientation.{edges}.low-middle.{answer}.read_{said}"].value or 0 for said in READINGS]
            assert sum(shares) == pytest.approx(1)
    assert rows["orientation.true.low-middle.auroc"].value == 1.0


READINGS = ("composes", "generates", "undecided")


@pytest.mark.slow
def test_what_the_diagnostic_must_show() -> None:
    """Twenty worlds of each kind, none of which the margin was chosen on."""
    rows = rows_of(execute(run_of("orientation-must-show", suite="orientation")))
    for pair in ("low-middle", "middle-high"):
        row = rows[f"orientation.true.{pair}.auroc"]
        assert row.n == 40 and row.value >= 0.95 and row.low > 0.9  # type: ignore[operator]
        assert rows[f"orientation.true.{pair}.generates.read_generates"].value >= 0.9  # type: ignore[operator]
