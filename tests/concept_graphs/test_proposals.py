"""Choosing which proposed edges to test: best first, no hubs, and chains where the pair above builds on them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import sparse

from concept_graphs.edges.proposal import Proposal, Proposed, spread_out
from concept_graphs.edges.registry import PROPOSALS
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.fit_maps import MapConfig, fit_map
from probes.hierarchy.selection_map import SelectionMap
from probes.registry import Registry
from probes.training.loop import OptimiserConfig
from tests.fixtures.registries import check_row, rows_of


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
    random = np.random.default_rng(seed)
    low = (random.random((rows, 10)) < 0.15) * random.lognormal(0, 0.3, (rows, 10))
    high = np.stack([low[:, list(parents)].sum(axis=1) for parents in PARENTS.values()], axis=1)
    return PairedCodes(sparse.csr_matrix(low), sparse.csr_matrix(high), np.arange(rows) // 8)


@cache
def fitted() -> SelectionMap:
    optimiser = OptimiserConfig(steps=200, batch=256, learning_rate=0.05, clip_norm=10.0)
    config = MapConfig(candidates=8, minimum_rows=20, edge_weight=0.01, optimiser=optimiser)
    return fit_map(known_codes(0), known_codes(1), ("low", "high"), config, seed=0).map


@pytest.mark.parametrize(("table", "name"), rows_of(PROPOSALS))
def test_every_row_imports_and_says_where_its_edges_come_from(table: Registry, name: str) -> None:
    check_row(table, name)


@pytest.mark.parametrize("name", list(PROPOSALS))
def test_a_proposal_ranks_the_true_edges_first(name: str) -> None:
    maker: Proposal = PROPOSALS.load(name)()
    found = maker.propose(known_codes(0), fitted() if maker.needs_map else None)
    assert (np.diff(found.score) <= 0).all()
    first = set(zip(found.target[:6].tolist(), found.source[:6].tolist(), strict=True))
    assert first == {(target, source) for target, parents in PARENTS.items() for source in parents}
