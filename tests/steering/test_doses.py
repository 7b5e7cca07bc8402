"""Dose-response, selectivity, Pareto fronts and heat maps, on numbers whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from steering.doses import (
    Doses,
    Point,
    best_form,
    beyond,
    distinguishing,
    front_area,
    heat_map,
    pareto_front,
    points,
    spearman,
    working_strength,
)

ITEMS = 40


def table(*shares: float) -> np.ndarray:
    """Per strength, that share of the items at 1 and the rest at 0."""
    return np.stack([(np.arange(ITEMS) < round(share * ITEMS)).astype(float) for share in shares])


def doses(effect: np.ndarray, shape: np.ndarray, *, arm: str = "chosen", price: float = 0.1) -> Doses:
    strengths = (0.0, 1.0, 2.0, 4.0)
    rising = price * np.tile(np.array(strengths)[:, None], (1, ITEMS))
    return Doses(arm, strengths, effect, {"shape": shape, "position": table(1, 1, 1, 0.9)}, rising, 2 * rising)


RISING = doses(table(0, 0.25, 0.75, 1), table(1, 1, 0.9, 0.4))


def test_a_response_has_the_means_and_intervals_around_them() -> None:
    found = RISING.response()
    assert [round(one.value, 6) for one in found] == [0, 0.25, 0.75, 1]
    assert all(one.low <= one.value <= one.high and one.n == ITEMS for one in found)
    assert found[1].low < found[1].value < found[1].high


def test_rank_correlation_tells_rising_from_falling_and_flat() -> None:
    assert RISING.monotone() == pytest.approx(1)
    assert doses(table(1, 0.75, 0.25, 0), table(1, 1, 1, 1)).monotone() == pytest.approx(-1)
    assert doses(table(0.5, 0.5, 0.5, 0.5), table(1, 1, 1, 1)).monotone() == 0
    assert spearman([1, 2, 3], [5, 50, 6]) == pytest.approx(0.5)


def test_selectivity_subtracts_the_largest_loss_of_anything_else() -> None:
    assert np.allclose(RISING.selectivity(), [0, 0.25, 0.65, 0.4])
    assert working_strength(RISING) == 2
    useless = doses(table(0, 0, 0, 0), table(1, 1, 1, 1))
    assert working_strength(useless) == 0


def test_the_most_selective_form_is_chosen_with_its_own_strength() -> None:
    weak = doses(table(0, 0.1, 0.2, 0.3), table(1, 1, 1, 1))
    assert best_form([weak, RISING]) == (1, 2)
    assert best_form([RISING, RISING]) == (0, 2)


def test_loss_is_a_price_like_any_other() -> None:
    assert np.allclose(RISING.loss(), [0, 0, 0.1, 0.6])
    assert [round(point.price, 6) for point in points([RISING], "loss")] == [0, 0, 0.1, 0.6]
    assert not doses(table(0, 0, 0, 0), table(1, 1, 1, 1))._replace(kept={}).loss().any()


def test_beyond_is_paired_over_items() -> None:
    same = doses(table(0, 0.25, 0.75, 1), table(1, 1, 1, 1), arm="random")
    assert beyond(RISING, same, 2.0) == (0, 0, 0, ITEMS, 1)
    weaker = doses(table(0, 0, 0.25, 0.5), table(1, 1, 1, 1), arm="random")
    found = beyond(RISING, weaker, 2.0)
    assert found.value == pytest.approx(0.5) and found.low > 0.3
    assert beyond(RISING, weaker, 2.0, 4.0).value == pytest.approx(0.25)
    with pytest.raises(ValueError):
        beyond(RISING, weaker, 3.0)


def test_a_front_keeps_what_nothing_beats() -> None:
    worse = doses(table(0, 0.2, 0.5, 1), table(1, 1, 1, 1), arm="worse", price=0.2)
    front = pareto_front(points([worse, RISING]))
    assert [(point.arm, point.strength) for point in front[1:]] == [("chosen", 1.0), ("chosen", 2.0), ("chosen", 4.0)]
    assert front[0].effect == 0
    dear = points([RISING], "off_manifold")
    assert [point.price for point in dear] == pytest.approx([0, 0.2, 0.4, 0.8])


def test_the_area_under_a_front_is_the_mean_of_its_steps() -> None:
    front = [Point("a", 1, 0.5, 0.25), Point("a", 2, 1.0, 0.75)]
    assert front_area(front, 1.0) == pytest.approx(0.25 * 0 + 0.5 * 0.5 + 0.25 * 1)
    assert front_area(front, 0.2) == 0
    assert front_area([*front, Point("b", 1, 0.4, 0.3)], 1.0) == pytest.approx(front_area(front, 1.0))
    with pytest.raises(ValueError):
        front_area(front, 0.0)


def test_a_heat_map_runs_from_noisy_to_finished() -> None:
    early = doses(table(0, 0, 0, 0.1), table(1, 1, 1, 1))
    found = heat_map({(0.0, 0.5): RISING, (0.5, 1.0): early})
    assert found.windows == ((0.5, 1.0), (0.0, 0.5))
    assert np.allclose(found.effect, [[0, 0, 0, 0.1], [0, 0.25, 0.75, 1]])
    with pytest.raises(ValueError):
        heat_map({(0.0, 0.5): RISING, (0.5, 1.0): early._replace(strengths=(0.0, 1.0, 2.0, 3.0))})


def test_distinguishing_latents_are_those_of_largest_contrast_and_never_negative() -> None:
    on = np.array([True, True, False, False])
    codes = np.array([[1.0, 5, 0, 2], [1, 7, 0, 2], [1, 0, 3, 1], [1, 0, 3, 1]])
    assert distinguishing(codes, on, 3) == [1, 3]
    assert distinguishing(codes, ~on, 1) == [2]
