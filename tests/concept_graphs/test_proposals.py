"""Choosing which proposed edges to test: best first, no hubs, and chains where the pair above builds on them."""

from __future__ import annotations

import random
import sys
import tracemalloc
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import LassoLarsIC, Ridge
from sklearn.metrics import average_precision_score

from concept_graphs.attribution import attributions
from concept_graphs.edges.lasso import LassoProposal
from concept_graphs.edges.local import Local, dense_rows, local_problems
from concept_graphs.edges.proposal import Attribution, Proposal, Proposed, spread_out
from concept_graphs.edges.registry import PROPOSALS
from concept_graphs.edges.ridge import RidgeProposal
from concept_graphs.evidence import HeldOut
from probes.activations.inputs import capture_inputs
from probes.activations.store import ActivationStore
from probes.errors import WorkbenchError
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.fit_maps import MapConfig, fit_map
from probes.hierarchy.selection_map import SelectionMap
from probes.registry import Registry
from probes.training.loop import OptimiserConfig
from probes.worlds.storeys import Storeys, StoreysConfig
from tests.fixtures.registries import check_row, rows_of
from tests.fixtures.worlds import inputs, oracle_pair, probe_of, true_probe, two_storeys


def proposed(source: list[int], target: list[int], score: list[float]) -> Proposed:
    s = np.array(score)
    return Proposed(np.array(source), np.array(target), s, s, s, s)


def test_hubs_do_not_take_all_edges() -> None:
    made = proposed([0, 1, 2, 3, 3, 3], [9, 9, 9, 8, 7, 6], [6, 5, 4, 3, 2, 1])
    found = spread_out(made, 4, per_target=2, per_source=2)
    assert list(zip(found.source.tolist(), found.target.tolist(), strict=True)) == [
        (0, 9),
        (1, 9),
        (3, 8),
        (3, 7),
    ]


def test_favoured_targets_come_first_up_to_their_share_and_order_stays_by_score() -> None:
    made = proposed(list(range(6)), [10, 11, 12, 13, 14, 15], [6, 5, 4, 3, 2, 1])
    found = spread_out(made, 4, per_target=9, per_source=9, favoured=frozenset({14, 15, 13}), favoured_share=0.5)
    assert found.target.tolist() == [10, 11, 13, 14]
    none = spread_out(made, 4, per_target=9, per_source=9, favoured=frozenset({99}), favoured_share=0.5)
    assert none.target.tolist() == [10, 11, 12, 13]


# -- what every registered proposal owes -------------------------------------------------------------------

PARENTS = {0: (0, 1), 1: (2, 3), 2: (4, 5)}


def known_codes(seed: int, rows: int = 3000) -> PairedCodes:
    """Ten lower latents, three higher ones that sum two parents each; latents 6 to 9 are bystanders."""
    draw = np.random.default_rng(seed)
    low = (draw.random((rows, 10)) < 0.15) * draw.lognormal(0, 0.3, (rows, 10))
    high = np.stack([low[:, list(parents)].sum(axis=1) for parents in PARENTS.values()], axis=1)
    return PairedCodes(sparse.csr_matrix(low), sparse.csr_matrix(high), np.arange(rows) // 8)


@cache
def fitted() -> SelectionMap:
    return _map(known_codes(0), known_codes(1))


def _map(train: PairedCodes, held_out: PairedCodes) -> SelectionMap:
    optimiser = OptimiserConfig(steps=200, batch=256, learning_rate=0.05, clip_norm=10.0)
    config = MapConfig(candidates=8, minimum_rows=20, edge_weight=0.01, optimiser=optimiser)
    return fit_map(train, held_out, ("low", "high"), config, seed=0).map


def known_attribution(targets: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """What a subject that sums two parents says: each adds its mean size, the others nothing."""
    return np.array([[float(s in PARENTS[int(t)]) for s in row] for t, row in zip(targets, sources, strict=True)])


@pytest.mark.parametrize(("table", "name"), rows_of(PROPOSALS))
def test_every_row_imports_and_says_where_its_edges_come_from(table: Registry, name: str) -> None:
    check_row(table, name)


@pytest.mark.parametrize("name", list(PROPOSALS))
def test_a_proposal_ranks_the_true_edges_first(name: str) -> None:
    maker: Proposal = PROPOSALS.load(name)()
    attribute = known_attribution if maker.needs_subject else None
    found = maker.propose(known_codes(0), fitted() if maker.needs_map else None, attribute=attribute)
    assert (np.diff(found.score) <= 0).all()
    first = set(zip(found.target[:6].tolist(), found.source[:6].tolist(), strict=True))
    assert first == {(target, source) for target, parents in PARENTS.items() for source in parents}


@cache
def storeys() -> tuple[Storeys, PairedCodes, PairedCodes]:
    world = Storeys(StoreysConfig(), 0)
    return world, oracle_pair(world, 2400, 1), oracle_pair(world, 1200, 2)


@pytest.mark.parametrize("name", list(PROPOSALS))
def test_a_proposal_finds_the_edges_of_a_world_again_and_again(name: str, data_home: Path) -> None:
    """Selection makes parts of one whole co-occur, so pairs that are no edges correlate too."""
    world, codes, held_out = storeys()
    maker: Proposal = PROPOSALS.load(name)()
    found = _map(codes, held_out) if maker.needs_map else None
    attribute = gradients_of(world) if maker.needs_subject else None
    once = maker.propose(codes, found, attribute=attribute)
    again = maker.propose(codes, found, attribute=attribute)
    for one, other in zip(vars(once).values(), vars(again).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    score = np.zeros(world.parts[0].shape)
    score[once.target, once.source] = once.score
    assert len(set(zip(once.source.tolist(), once.target.tolist(), strict=True))) == len(once)
    assert average_precision_score(world.parts[0].ravel(), score.ravel()) > 0.9
    assert world.parts[0].mean() < 0.2


def gradients_of(world: Storeys) -> Attribution:
    """Attribution through the world's own subject, twenty rows to a chunk."""
    subject = world.subject()
    rows = torch.from_numpy(world.draw(2400, 3).codes[0]).reshape(4, 30, 20, -1)
    store = ActivationStore(capture_inputs(subject, rows, name="gradients", held_out=0.25))
    seen = HeldOut(store, *probe_of(world, subject).levels[:2], split="train")
    return partial(attributions, subject, seen, chunks=30)


# -- the same as other libraries say ------------------------------------------------------------------------


def noisy_codes() -> PairedCodes:
    """Six lower latents that go together in pairs, and one higher that two of them and noise make."""
    draw, rows = np.random.default_rng(0), 4000
    hidden = draw.random((rows, 3)) < 0.3
    low = np.repeat(hidden, 2, axis=1) * (draw.random((rows, 6)) < 0.7) * draw.lognormal(0, 0.3, (rows, 6))
    high = low[:, [0]] + 0.6 * low[:, [2]] + (draw.random((rows, 1)) < 0.2) * draw.lognormal(-1, 0.5, (rows, 1))
    high *= high > 0.4
    return PairedCodes(sparse.csr_matrix(low), sparse.csr_matrix(high), np.arange(rows) // 8)


def standardised(codes: PairedCodes, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = codes.low.toarray()[:, source], codes.high.toarray()[:, 0]
    return (low - low.mean(axis=0)) / low.std(axis=0), (high - high.mean()) / high.std()


def the_problem() -> Local:
    (problem,) = local_problems(noisy_codes(), MapConfig(minimum_rows=20, most_frequent=0.9))
    return problem


def test_moments_of_a_problem_are_those_of_its_columns() -> None:
    problem = the_problem()
    x, y = standardised(noisy_codes(), problem.source)
    np.testing.assert_allclose(problem.among, np.corrcoef(x.T), atol=1e-6)
    np.testing.assert_allclose(problem.with_target, x.T @ y / len(y), atol=1e-6)
    rows = dense_rows(noisy_codes(), problem, seed=0)
    np.testing.assert_allclose(np.corrcoef(rows.T)[-1, :-1], problem.with_target, atol=5e-3)


def test_ridge_and_lasso_are_scikit_learns() -> None:
    problem = the_problem()
    x, y = standardised(noisy_codes(), problem.source)
    ridge = Ridge(alpha=1e-3 * len(y), fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(RidgeProposal().weights(problem), ridge.coef_, atol=1e-5)
    lasso = LassoLarsIC(criterion="bic", positive=True, fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(LassoProposal().weights(problem), lasso.coef_, atol=1e-3)
    assert (LassoProposal().weights(problem) >= 0).all()


@pytest.mark.parametrize("name", ["pc", "grasp"])
def test_discovery_says_what_the_library_says_and_nothing_on_stdout(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from causallearn.search.ConstraintBased.PC import pc
    from causallearn.search.PermutationBased.GRaSP import grasp

    config = MapConfig(minimum_rows=20, most_frequent=0.9)
    maker: Proposal = PROPOSALS.load(name)(config)
    random.seed(7)
    before = random.getstate()
    found = maker.propose(noisy_codes())
    assert random.getstate() == before and capsys.readouterr().out == ""
    problem = the_problem()
    x, y = standardised(noisy_codes(), problem.source)
    columns = np.column_stack([x, y])
    marks = pc(columns, 0.01, show_progress=False).G.graph if name == "pc" else grasp(columns, verbose=False).graph
    assert set(found.source.tolist()) == set(problem.source[np.flatnonzero(marks[-1, :-1])].tolist())


def test_discovery_without_its_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "causallearn", None)
    monkeypatch.setitem(sys.modules, "causallearn.search.ConstraintBased.PC", None)
    maker: Proposal = PROPOSALS.load("pc")()
    with pytest.raises(WorkbenchError, match=r"pip install fulcrum-workbench\[graphs\]"):
        maker.propose(noisy_codes())


def test_wide_codes_are_never_written_out() -> None:
    """A hundred thousand rows of four thousand latents would be three gigabytes; a proposal holds a few columns."""
    draw = np.random.default_rng(0)
    low = sparse.random(100_000, 4000, density=0.002, format="csr", random_state=draw)
    high = (low[:, :60] + low[:, 60:120]).tocsr()
    codes = PairedCodes(low, high, np.arange(100_000) // 128)
    tracemalloc.start()
    try:
        for name in ("ridge", "lasso"):
            found = PROPOSALS.load(name)(MapConfig(candidates=8)).propose(codes)
            best = set(zip(found.source[:120].tolist(), found.target[:120].tolist(), strict=True))
            assert best == {(s, s % 60) for s in range(120)}
        assert tracemalloc.get_traced_memory()[1] < 400 * 2**20
    finally:
        tracemalloc.stop()


def test_gradients_of_a_known_subject_are_the_codes_of_its_parts(data_home: Path) -> None:
    """Where a whole is on, it is the sum of its parts less a constant: each adds exactly its own code."""
    subject = two_storeys()
    store = ActivationStore(capture_inputs(subject, inputs(8, 20, 6), name="summed", held_out=0.5))
    seen = HeldOut(store, *true_probe(subject).levels)
    targets, sources = np.arange(4), np.tile(np.arange(12), (4, 1))
    found = attributions(subject, seen, targets, sources, chunks=500)
    codes = seen.inputs.numpy()
    for target in targets:
        own = np.arange(12) // 3 == target
        on = codes[..., own].sum(axis=-1) > 0.25
        expected = np.where(own, codes[on].mean(axis=0), 0.0)
        np.testing.assert_allclose(found[target], expected, atol=1e-4)
