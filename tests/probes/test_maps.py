"""Selection maps on codes whose true parents are known: what they find, what they keep on shuffled rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from probes.errors import WorkbenchError
from probes.hierarchy import correlation
from probes.hierarchy.codes import PairedCodes, csr_max, pooled_csr
from probes.hierarchy.correlation import Correlations
from probes.hierarchy.fit_maps import MapConfig, candidates_of, fit_map
from probes.hierarchy.selection_map import keep_rule
from probes.latents import Codes
from probes.metrics.intervals import bootstrap, bootstrap_means, seeds_interval
from probes.parts.gates import mean_gates, open_probability, sample_gates
from probes.training.loop import OptimiserConfig

PARENTS = {0: (0, 1), 1: (2, 3), 2: (4,), 3: (5, 6, 7)}


def known_codes(rows: int, seed: int) -> PairedCodes:
    """Ten lower latents, four higher ones that sum their own parents; latents 8 and 9 are bystanders."""
    random = np.random.default_rng(seed)
    low = (random.random((rows, 10)) < 0.15) * random.lognormal(0, 0.3, (rows, 10))
    high = np.stack([low[:, list(parents)].sum(axis=1) for parents in PARENTS.values()], axis=1)
    high = np.maximum(high + 0.05 * random.standard_normal(high.shape) * (high > 0), 0)
    return PairedCodes(sparse.csr_matrix(low), sparse.csr_matrix(high), np.arange(rows) // 8)


CONFIG = MapConfig(
    candidates=8,
    minimum_rows=20,
    edge_weight=0.01,
    optimiser=OptimiserConfig(steps=300, batch=256, learning_rate=0.05, clip_norm=10.0),
)


def test_gates_find_the_true_parents_and_keep_nothing_on_shuffled_rows() -> None:
    told: list[tuple[str, int, int]] = []
    report = lambda *said: told.append(said)  # noqa: E731
    fitted = fit_map(known_codes(4000, 0), known_codes(2000, 1), ("low", "high"), CONFIG, seed=0, report=report)
    assert told == [("fitting gates", 0, 1), ("fitting the shuffled null", 0, 1)]
    found = set(zip(fitted.map.target.tolist(), fitted.map.source.tolist(), strict=True))
    assert found == {(target, source) for target, parents in PARENTS.items() for source in parents}
    assert float(fitted.map.r2.min()) > 0.8
    assert fitted.null_edges_after_filter == 0


@pytest.mark.parametrize("budget", [1, 2 * 10 * correlation.PER_ENTRY, 2**28])
def test_correlations_equal_numpy_however_small_the_blocks(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation, "BUDGET", budget)
    codes = known_codes(500, 2)
    whole = np.corrcoef(codes.low.toarray().T, codes.high.toarray().T)[:10, 10:]
    found, targets = Correlations(codes), np.array([3, 0, 2])
    blocks = list(found.blocks(targets))
    assert all(block.size * correlation.PER_ENTRY <= budget or block.shape[1] == 1 for _, block in blocks)
    np.testing.assert_allclose(np.concatenate([block for _, block in blocks], axis=1), whole[:, targets], atol=1e-5)
    source, target = np.array([9, 0, 4, 4]), np.array([1, 3, 3, 0])
    np.testing.assert_allclose(found.of_pairs(source, target), whole[source, target], atol=1e-5)
    chosen, candidates, _ = candidates_of(codes, MapConfig(candidates=3, minimum_rows=20))
    best = np.sort(np.argsort(-whole[:, chosen], axis=0)[:3].T, axis=1)
    assert np.array_equal(np.sort(candidates, axis=1), best)


@pytest.mark.parametrize("level", ["lower", "higher"])
def test_latents_that_are_all_too_rare_or_too_frequent_are_an_error_that_says_which(level: str) -> None:
    codes = known_codes(3000, 3)
    fine = sparse.csr_matrix(codes.low if level == "higher" else codes.high)
    for density, name, other in ((0.001, "minimum_rows", "most_frequent"), (0.9, "most_frequent", "minimum_rows")):
        fires = np.random.default_rng(0).random((3000, 12)) < density
        bad = sparse.csr_matrix(fires.astype(np.float32))
        found = PairedCodes(*((fine, bad) if level == "higher" else (bad, fine)), codes.chunk)
        with pytest.raises(WorkbenchError, match=f"12 latents of the {level} level") as refused:
            fit_map(found, found, ("low", "high"), CONFIG, seed=0)
        assert f"maps.{name}" in refused.value.how and other not in refused.value.how
        rare = int((fires.sum(axis=0) < CONFIG.minimum_rows).sum())
        assert f"{rare} fire in fewer than 20 of 3,000 rows, and {12 - rare} in more than 50%" in refused.value.why


def test_keep_rule() -> None:
    weights = torch.tensor([[1.0, 0.31, 0.29], [0.01, 0.0, 0.0]])
    assert keep_rule(weights).tolist() == [[True, True, False], [False, False, False]]


def test_hard_concrete_gates() -> None:
    log_alpha = torch.tensor([-8.0, 0.0, 8.0])
    assert mean_gates(log_alpha)[[0, 2]].tolist() == [0.0, 1.0]
    uniform = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0)).clamp(1e-6, 1 - 1e-6)
    share = (sample_gates(log_alpha, uniform) > 0).float().mean(dim=0)
    torch.testing.assert_close(share, open_probability(log_alpha), atol=0.01, rtol=0)


def test_pooling_codes_takes_the_largest_of_each_window() -> None:
    index = torch.tensor([[[0, 2], [2, 1], [1, 0], [0, 1]]])
    value = torch.tensor([[[1.0, 2.0], [5.0, 0.0], [3.0, 0.0], [4.0, 1.0]]])
    pooled = pooled_csr(Codes(index, value, 3), 1, 2).toarray()
    assert pooled.tolist() == [[1.0, 0.0, 5.0], [4.0, 3.0, 0.0]]
    twice = csr_max(torch.tensor([0, 0]), torch.tensor([1, 1]), torch.tensor([2.0, 7.0]), (1, 2))
    assert twice.toarray().tolist() == [[0.0, 7.0]]


def test_intervals_cover_the_mean_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    covered = sum(
        interval.low <= 1.0 <= interval.high
        for interval in (bootstrap([random.exponential(1.0, 60)], seed=i) for i in range(40))
    )
    assert covered >= 33
    assert bootstrap([[1.0, 1.0], [3.0, 3.0]]).value == 2.0
    with pytest.raises(ValueError, match="every seed"):
        bootstrap([[1.0], []])


@pytest.mark.parametrize("items", [1, 8])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_intervals_over_few_seeds_cover_the_mean_as_often_as_they_say(seeds: int, items: int) -> None:
    """Seeds differ, and so do the items of each; three standard deviations of 1,000 draws either way."""
    random = np.random.default_rng(seeds)
    seen = random.normal(size=(1000, seeds, 1)) + random.normal(size=(1000, seeds, items))
    found = [seeds_interval(list(one)) for one in seen]
    assert np.mean([one.low <= 0 <= one.high for one in found]) == pytest.approx(0.95, abs=0.021)
    assert found[0].value == pytest.approx(seen[0].mean()) and found[0][3:] == (seeds * items, seeds)


def test_one_seed_has_the_interval_of_its_items_and_a_seed_without_any_is_refused() -> None:
    values = np.random.default_rng(0).normal(size=20)
    assert seeds_interval([values]) == bootstrap([values])
    with pytest.raises(ValueError, match="every seed"):
        seeds_interval([[1.0], []])


def test_ratio_means_weigh_items_by_their_counts() -> None:
    value, low, high = bootstrap_means(np.array([[10.0], [0.0]]), np.array([[1.0], [9.0]]))
    assert value[0] == 1.0
    assert low[0] <= 1.0 <= high[0]
