"""What other seeds and halves of the data agree on, where the answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from app.facts import stability_rows
from concept_graphs.evidence import SourceEffects
from concept_graphs.schema import GraphMeta
from concept_graphs.stability import half_figures, mutual_matches, proposal_figures, seed_figures
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.probe import Level, Probe
from probes.hierarchy.selection_map import SelectionMap
from tests.concept_graphs.test_proposals import known_codes
from tests.fixtures.graphs import make_graph
from tests.fixtures.worlds import HIGH, LOW, true_probe, two_storeys

EDGES = [(s, s // 3) for s in range(LOW)]


def mapped(edges: list[tuple[int, int]]) -> SelectionMap:
    source, target = (torch.tensor([edge[end] for edge in edges]) for end in (0, 1))
    ones = torch.ones(len(edges))
    return SelectionMap("low", "high", source, target, ones, ones, ones, torch.ones(HIGH))


def with_map(probe: Probe, edges: list[tuple[int, int]]) -> Probe:
    return replace(probe, maps=(mapped(edges),))


def shuffled(level: Level, order: torch.Tensor) -> Level:
    """The same dictionary with its latents in another order: latent n is what was latent order[n]."""
    space = replace(level.space, w_enc=level.space.w_enc[order], w_dec=level.space.w_dec[order])
    return replace(level, space=space)


def test_seeds_that_order_their_latents_otherwise_agree_but_for_the_edges_one_lacks() -> None:
    probe = true_probe(two_storeys())
    low, high = probe.levels
    order = torch.randperm(LOW, generator=torch.Generator().manual_seed(0))
    place = {int(old): new for new, old in enumerate(order)}
    missing = EDGES[:3]
    other = replace(probe, levels=(shuffled(low, order), high))
    other = with_map(other, [(place[s], t) for s, t in EDGES if (s, t) not in missing] + [(place[0], 3)])
    found = seed_figures(with_map(probe, EDGES), [other], low, high)
    assert found["matched_seeds"][0] == 1.0 and found["matched_seeds"][3] == LOW
    assert found["agreement_seeds"][0] == pytest.approx((LOW - 3) / (LOW + 1))
    same = seed_figures(with_map(probe, EDGES), [with_map(probe, EDGES)] * 2, low, high)
    assert same["agreement_seeds"][:3] == [1.0, 1.0, 1.0]


def test_latents_that_another_seed_lacks_are_no_matches() -> None:
    probe = true_probe(two_storeys())
    low, high = probe.levels
    turned = low.space.w_dec.clone()
    turned[:6] = high.space.w_dec[:1] + 0.01 * low.space.w_dec[:6]
    other = replace(low, space=replace(low.space, w_dec=turned))
    assert mutual_matches(low, other, list(range(LOW))) == {n: n for n in range(6, LOW)}
    lacking = with_map(replace(probe, levels=(other, high)), EDGES)
    found = seed_figures(with_map(probe, EDGES), [lacking], low, high)
    assert found["matched_seeds"][0] == pytest.approx(0.5) and found["agreement_seeds"][0] == 1.0
    narrow = replace(low, space=replace(low.space, w_dec=low.space.w_dec[:, :8]))
    assert mutual_matches(low, narrow, [0, 1]) == {}
    assert seed_figures(probe, [probe], low, high) == {}


def effects(source: int, change: np.ndarray) -> SourceEffects:
    """One source in as many chunks as `change` `chunk target` has rows, with nulls about zero."""
    draw = np.random.default_rng(source)
    null = 0.01 * draw.normal(size=(40, *change.shape))
    ones = np.ones(change.shape)
    return SourceEffects(source, change, change, null, null, ones, ones, change, ones)


def test_halves_agree_on_what_every_chunk_shows_and_not_on_what_one_half_shows() -> None:
    draw = np.random.default_rng(0)
    steady = -1 + 0.05 * draw.normal(size=(16, 1))
    one_half = np.where(np.arange(16)[:, None] % 2, 0.0, -1) + 0.05 * draw.normal(size=(16, 1))
    few = np.full((3, 1), -1.0)
    asked = ([0], [1], [2])
    tested = {s: effects(s, change) for s, change in enumerate((steady, one_half, few))}

    def agreement(*sources: int) -> list[float] | None:
        found = half_figures(tested, list(sources), [5] * len(sources), [5], np.ones(6))
        return found.get("agreement_halves")

    (sure,), (half,), (none,) = asked
    assert agreement(sure) == [1.0, 1.0, 1.0, 1.0]
    assert agreement(half) == [0.0, 0.0, 0.0, 1.0]
    assert agreement(none) is None
    both = agreement(sure, half)
    assert both is not None and both[0] == pytest.approx(0.5) and both[3] == 2


def test_halves_of_the_codes_are_dealt_by_chunk_and_compared_as_sets() -> None:
    codes = known_codes(0)
    seen: list[set[int]] = []

    def edges_on(half: PairedCodes) -> set[tuple[int, int]]:
        seen.append(set(half.chunk.tolist()))
        return {(0, 0), (1, 0), (2, len(seen))}

    found = proposal_figures(codes, edges_on, seed=0)["proposed_halves"]
    assert not seen[0] & seen[1] and seen[0] | seen[1] == set(codes.chunk.tolist())
    assert abs(len(seen[0]) - len(seen[1])) <= 1
    assert found[0] == pytest.approx(2 / 4) and found[3] == 4


def test_figures_of_a_graph_are_told_in_words() -> None:
    graph = make_graph()
    assert stability_rows(graph)[0][1] == "not measured"
    figures = {
        "low-middle.agreement_seeds": [0.25, 0.125, 0.5, 40.0],
        "middle-high.dependence": [-0.2, -0.3, -0.1, 9.0],
    }
    meta = GraphMeta.model_validate({**graph.meta.model_dump(), "figures": figures})
    rows = stability_rows(type(graph)(meta, graph.nodes, graph.edges))
    assert [row[0] for row in rows] == ["middle-high", "low-middle"]
    assert rows[1][2] == "0.25 [0.125, 0.5], n 40"
