"""Choosing which proposed edges to test: best first, no hubs, and chains where the pair above builds on them."""

from __future__ import annotations

import numpy as np

from concept_graphs.edges.proposal import Proposed, spread_out


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
    found = spread_out(
        made, 4, per_target=9, per_source=9, favoured=frozenset({14, 15, 13}), favoured_share=0.5
    )
    assert found.target.tolist() == [10, 11, 13, 14]
    none = spread_out(made, 4, per_target=9, per_source=9, favoured=frozenset({99}), favoured_share=0.5)
    assert none.target.tolist() == [10, 11, 12, 13]
