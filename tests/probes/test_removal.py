"""SCR and TPP: scores by hand, and chunks whose latents are known to carry one attribute each."""

from __future__ import annotations

import numpy as np
import pytest

from probes.metrics.directions import fitted_direction, right
from probes.metrics.perturbation import targeted_perturbation, tpp_score
from probes.metrics.removal import Means, effects, over_documents, without
from probes.metrics.spurious import TwoAttributes, scr_score, spurious_removal

D, LATENTS = 12, 10
ROWS = np.linalg.qr(np.random.default_rng(9).normal(size=(D, D)))[0][:LATENTS].astype(np.float32)


def test_scores_by_hand() -> None:
    assert scr_score(0.9, 0.6, 0.75) == pytest.approx(0.5)
    assert scr_score(0.9, 0.6, 0.5) == pytest.approx(-1 / 3)
    assert scr_score(0.9, 0.9, 0.1) == 0.0
    # Removing class 0's latents costs it 0.3 and the others 0.1 and 0; and so on: (0.25 + 0.15 + 0) / 3.
    drops = np.array([[0.3, 0.1, 0.0], [0.0, 0.2, 0.1], [0.1, 0.1, 0.1]])
    assert tpp_score(drops) == pytest.approx((0.25 + 0.15 + 0.0) / 3)


def test_effects_and_removal_by_hand() -> None:
    z = np.array([[2.0, 0.0], [4.0, 1.0], [1.0, 1.0], [1.0, 2.0]], dtype=np.float32)
    y = np.array([True, True, False, False])
    decoder = np.array([[1.0, 0.0], [0.6, 0.8]], dtype=np.float32)
    assert effects(z, y, decoder, np.array([2.0, 1.0])).tolist() == pytest.approx([2 * 2.0, -1 * 2.0])
    x = np.array([[5.0, 5.0]] * 4, dtype=np.float32)
    left = without(Means(x, z, np.arange(4)), decoder, np.array([1]))
    np.testing.assert_allclose(left[1], [5 - 0.6, 5 - 0.8], rtol=1e-6)
    level = without(Means(x, z, np.arange(4)), decoder, np.array([1]), z.mean(axis=0))
    np.testing.assert_allclose(level, x - np.outer([-1, 0, 0, 1], [0.6, 0.8]), rtol=1e-6)
    assert level.mean(axis=0) == pytest.approx([5, 5])


def test_a_direction_says_in_the_activations_space_what_the_probe_says() -> None:
    random = np.random.default_rng(0)
    y = random.random(300) < 0.3
    x = random.normal(5, 3, (300, 4))
    x[:, 2] += 6 * y
    probe = fitted_direction(x, y, 1.0)
    assert right(x, y, probe).mean() > 0.8
    assert abs(probe[0][2]) > 3 * np.abs(np.delete(probe[0], 2)).max()


def made(seed: int, shared: bool, documents: int = 60) -> TwoAttributes:
    """Latents 0 and 1 carry the first attribute, 2 and 3 the second, the rest nothing; where `shared`, both
    attributes lie in the same latents."""
    random = np.random.default_rng(seed)
    document = np.repeat(np.arange(documents), 20)
    first, second = (random.random(len(document)) < 0.5 for _ in range(2))
    z = (random.exponential(0.3, (len(document), LATENTS)) * (random.random((len(document), LATENTS)) < 0.3)).astype(
        np.float32
    )
    z[:, :2] += first[:, None] * random.normal(1.0, 0.2, (len(document), 2))
    z[:, (slice(0, 2) if shared else slice(2, 4))] += second[:, None] * random.normal(0.8, 0.2, (len(document), 2))
    x = z @ ROWS + 0.1 * random.normal(size=(len(document), D)).astype(np.float32)
    return TwoAttributes(Means(x, z, document), first, second)


def test_removing_the_spurious_attributes_latents_mends_the_probe_unless_they_carry_both() -> None:
    apart = spurious_removal(made(0, False), made(1, False), ROWS, sizes=(1, 2), to_mean=True)
    assert apart[2].value > 0.6 and apart[2].low > 0.4 and apart[2].value > apart[1].value
    assert apart[2].low <= apart[2].value <= apart[2].high
    together = spurious_removal(made(0, True), made(1, True), ROWS, sizes=(2,), to_mean=True)
    assert together[2].value < apart[2].value - 0.3


def test_removing_to_zero_moves_the_threshold_too() -> None:
    """What SAEBench's convention costs: one of two latents mends, both together overshoot."""
    zero = spurious_removal(made(0, False), made(1, False), ROWS, sizes=(1, 2))
    assert zero[1].low > 0 > zero[2].high


def test_a_combination_that_does_not_occur_is_refused() -> None:
    data = made(0, False)
    with pytest.raises(ValueError, match="combination"):
        spurious_removal(data.part(~(data.first & data.second)), data, ROWS)
    sizes = data.balanced(0)
    cells = [(sizes.first == a) & (sizes.second == b) for a in (False, True) for b in (False, True)]
    assert len({int(cell.sum()) for cell in cells}) == 1


def test_perturbation_is_targeted_where_classes_have_latents_of_their_own() -> None:
    def classes(seed: int, own: bool) -> tuple[Means, np.ndarray]:
        random = np.random.default_rng(seed)
        label = np.arange(900) % 3
        z = random.exponential(0.3, (900, LATENTS)).astype(np.float32)
        for one in range(3):
            where = slice(2 * one, 2 * one + 2) if own else slice(0, 6)
            z[label == one, where] += 1.5 if own else one
        return Means(z @ ROWS, z, np.arange(900) // 15), label

    own = targeted_perturbation(classes(0, True), classes(1, True), ROWS, sizes=(2, 50))
    blurred = targeted_perturbation(classes(0, False), classes(1, False), ROWS, sizes=(2,))
    assert own[2].value > 0.15 and own[2].low > 0.1
    assert blurred[2].value < 0.7 * own[2].value


def test_an_interval_is_over_documents() -> None:
    values = np.repeat([0.0, 1.0], 50)[:, None]
    alone = over_documents(values, np.arange(100), lambda mean: float(mean[0]), 0)
    together = over_documents(values, np.arange(100) // 50, lambda mean: float(mean[0]), 0)
    assert alone.value == together.value == 0.5 and alone.n == together.n == 100
    assert together.high - together.low > 3 * (alone.high - alone.low)
