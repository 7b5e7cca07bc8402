"""The MCC family on cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import rankdata

from probes.metrics.metric import measured
from probes.metrics.recovery import absorption_of_wholes, correlations, match, recovered

NOBODY = np.zeros((2, 2), dtype=np.bool_)


def codes(*rows: list[float]) -> sparse.csr_matrix:
    return sparse.csr_matrix(np.array(rows, dtype=np.float32))


def test_correlations_are_numpys_and_nothing_is_said_of_constants() -> None:
    random = np.random.default_rng(0)
    truth = (random.random((50, 3)) * (random.random((50, 3)) < 0.4)).astype(np.float32)
    learned = (random.random((50, 4)) * (random.random((50, 4)) < 0.4)).astype(np.float32)
    learned[:, 3] = 2.0
    found = correlations(truth, sparse.csr_matrix(learned))
    for concept in range(3):
        for latent in range(3):
            expected = abs(np.corrcoef(truth[:, concept], learned[:, latent])[0, 1])
            assert found[concept, latent] == pytest.approx(expected, rel=1e-4)
    assert not found[:, 3].any()


def test_the_match_is_one_to_one_and_best_in_sum_not_greedy() -> None:
    assert match(np.array([[0.9, 0.8], [0.85, 0.1]])).tolist() == [1, 0]
    assert match(np.array([[0.9], [0.95], [0.2]])).tolist() == [-1, 0, -1]


def test_permuted_rescaled_truth_is_recovered_wholly() -> None:
    random = np.random.default_rng(1)
    truth = (random.random((200, 5)) * (random.random((200, 5)) < 0.3)).astype(np.float32)
    order, scale = random.permutation(5), np.array([1, 2, 3, 4, 5], dtype=np.float32)
    learned = sparse.csr_matrix(truth[:, order] * scale)
    rows = random.normal(size=(5, 8)).astype(np.float32)
    found = recovered((truth, learned), (truth, learned), (rows, -rows[order] * 3), np.zeros((5, 5), dtype=np.bool_))
    figures = measured(found, "recovery")
    assert {name: figures[name] for name in ("mcc", "mcc_decoder", "uniqueness", "precision", "recall", "f1")} == (
        pytest.approx(dict.fromkeys(("mcc", "mcc_decoder", "uniqueness", "precision", "recall", "f1"), 1.0), rel=1e-5)
    )


def test_a_concept_without_a_latent_counts_as_nothing_and_a_doubled_one_is_not_unique() -> None:
    """Two concepts, two latents that both say the first one; the second latent misses one of its rows."""
    truth = np.array([[1, 0], [1, 0], [0, 1], [0, 0]], dtype=np.float32)
    learned = codes([1, 1], [1, 0], [0, 0], [0, 0])
    rows = np.eye(2, dtype=np.float32)
    found = recovered((truth, learned), (truth, learned), (rows, np.array([[1, 0], [1, 0.1]])), NOBODY)
    assert found.correlation[0] == pytest.approx(1)
    assert found.correlation[1] == pytest.approx(1 / 3)  # the second latent against the second concept
    assert found.precision.tolist() == [1, 0] and found.recall.tolist() == [1, 0] and found.f1.tolist() == [1, 0]
    assert measured(found, "recovery")["uniqueness"] == 0.5
    alone = recovered((truth, learned[:, :1]), (truth, learned[:, :1]), (rows, rows[:1]), NOBODY)
    assert alone.correlation[1] == 0 and alone.cosine[1] == 0
    assert measured(alone, "recovery")["uniqueness"] == 1.0


def test_the_match_is_chosen_on_other_rows_than_it_is_scored_on() -> None:
    """On the first sample latent 0 follows concept 0; on the second it is the other way round."""
    truth = np.array([[1, 0], [0, 1], [0, 0], [0, 0]], dtype=np.float32)
    straight, crossed = codes([1, 0], [0, 1], [0, 0], [0, 0]), codes([0, 1], [1, 0], [0, 0], [0, 0])
    rows = np.eye(2, dtype=np.float32)
    found = recovered((truth, straight), (truth, crossed), (rows, rows), NOBODY)
    assert found.correlation == pytest.approx([1 / 3, 1 / 3])


def test_absorption_by_hand() -> None:
    """Whole 0 with part 1. Six rows: alone twice (latent on both times), with its part four times (on once)."""
    on = np.array([[1, 0], [1, 0], [1, 1], [1, 1], [1, 1], [1, 1], [0, 0]], dtype=np.bool_)
    fires = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 1], [0, 1], [0, 0]], dtype=np.bool_)
    members = np.array([[0, 1], [0, 0]], dtype=np.bool_)
    absorbed, gap = absorption_of_wholes(on, fires, members)
    assert absorbed.tolist() == [0.75] and gap.tolist() == [0.75]
    never, nowhere = absorption_of_wholes(on, np.zeros_like(fires), members)
    assert never.tolist() == [1.0] and nowhere.tolist() == [0.0], "a missing latent is no absorption, says the gap"
    _, unknown = absorption_of_wholes(on[2:], fires[2:], members)
    assert np.isnan(unknown).all()
    assert len(absorption_of_wholes(on, fires, NOBODY)[0]) == 0


# -- published values of the mean correlation coefficient (task-constraint, B3) -------------------------------------


def mcc(truth: np.ndarray, learned: np.ndarray, *, halves: bool = False) -> float:
    """Matched on the rows that are scored, as the published values are, or on one half and scored on the other."""
    parts = [slice(None)] * 2 if not halves else [slice(len(truth) // 2), slice(len(truth) // 2, None)]
    samples = [(truth[at].astype(np.float32), sparse.csr_matrix(learned[at])) for at in parts]
    rows = np.eye(truth.shape[1], dtype=np.float32), np.ones((learned.shape[1], truth.shape[1]), dtype=np.float32)
    none = np.zeros((truth.shape[1],) * 2, dtype=np.bool_)
    return measured(recovered(samples[0], samples[1], rows, none), "recovery")["mcc"]


def test_signs_scales_and_order_cost_nothing_and_a_rotation_and_a_bend_what_they_must() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(20_000, 4))
    assert mcc(truth, -3 * truth[:, [2, 0, 3, 1]], halves=True) == pytest.approx(1, abs=1e-6)
    even = random.uniform(-1, 1, (200_000, 2))
    assert mcc(even, even**3) == pytest.approx(np.sqrt(21) / 5, abs=1e-3)
    ranks = [rankdata(part, axis=0) for part in (even, even**3)]
    assert mcc(*ranks) == pytest.approx(1, abs=1e-6)
    turn = np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
    two = random.normal(size=(200_000, 2))
    assert mcc(two, two @ turn) == pytest.approx(0.70711, abs=3e-3)


def test_dead_and_missing_codes_count_as_nothing() -> None:
    truth = np.random.default_rng(1).normal(size=(5000, 4))
    dead = truth.copy()
    dead[:, 2] = 0
    assert mcc(truth, dead, halves=True) == pytest.approx(0.75, abs=1e-4)
    assert mcc(truth, truth[:, :2], halves=True) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize(("latents", "rows", "chance"), [(10, 100, 0.171), (10, 1000, 0.054), (1000, 1000, 0.106)])
def test_the_chance_level_of_a_match_on_the_rows_it_is_scored_on(latents: int, rows: int, chance: float) -> None:
    """Why a wide dictionary is matched on other rows than it is scored on: there the chance is that of one pair."""
    random = np.random.default_rng(2)
    draws = [(random.normal(size=(rows, 10)), random.normal(size=(rows, latents))) for _ in range(8)]
    assert np.mean([mcc(*pair) for pair in draws]) == pytest.approx(chance, rel=0.12)
    held = np.mean([mcc(*pair, halves=True) for pair in draws])
    assert held == pytest.approx(np.sqrt(2 / np.pi) / np.sqrt(rows / 2), rel=0.35)
