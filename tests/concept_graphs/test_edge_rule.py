"""The rule for edges: one of many tests, and against random directions in the same pictures."""

from __future__ import annotations

import numpy as np

from concept_graphs.effects import EdgeEvidence, edge_evidence
from concept_graphs.evidence import SourceEffects

TARGETS, PICTURES, DRAWS = 40, 12, 2


def _of(change: np.ndarray, null: np.ndarray, source: int = 0) -> SourceEffects:
    """Effects of one source on TARGETS, `picture target` and `draw picture target`."""
    one = np.ones_like(change)
    return SourceEffects(source, change, change, null, null, one, one, change, one)


def _judged(effects: dict[int, SourceEffects]) -> EdgeEvidence:
    targets = list(range(TARGETS))
    sources = [source for source in effects for _ in targets]
    return edge_evidence(effects, sources, targets * len(effects), targets, np.ones(TARGETS))


def _confirmed(found: EdgeEvidence) -> np.ndarray:
    return np.isin(found.columns["verdict"], ["composed", "carried"])


def test_what_any_direction_does_as_well_is_no_edge_of_the_source() -> None:
    """Every direction taken out of these pictures lowers every target by as much, but for the draws' own spread."""
    random = np.random.default_rng(0)
    common = -1 + 0.3 * random.normal(size=(PICTURES, 1))
    change = common + 0.05 * random.normal(size=(PICTURES, TARGETS))
    null = common + 0.05 * random.normal(size=(DRAWS, PICTURES, TARGETS))
    found = _judged({0: _of(change, null)})
    excludes = (found.columns["effect_low"] > 0) | (found.columns["effect_high"] < 0)
    assert excludes.all() and not _confirmed(found).any()
    np.testing.assert_allclose(found.columns["beyond"], (change - null.mean(axis=0)).mean(axis=0), atol=1e-12)


def test_true_effects_pass_and_the_share_of_false_ones_is_held() -> None:
    random = np.random.default_rng(1)
    true = np.zeros((10, TARGETS), dtype=bool)
    true[:, :5] = True
    effects = {}
    for source in range(len(true)):
        change = 0.3 * random.normal(size=(PICTURES, TARGETS)) - 2.0 * true[source]
        effects[source] = _of(change, 0.3 * random.normal(size=(DRAWS, PICTURES, TARGETS)), source)
    found = _confirmed(_judged(effects)).reshape(true.shape)
    assert found[true].all() and found[~true].mean() < 0.02


def test_a_target_that_everything_moves_hides_no_edge_to_a_quiet_one() -> None:
    random = np.random.default_rng(3)
    size = np.where(np.arange(TARGETS) < TARGETS // 4, 5.0, 0.1)  # restless targets, then quiet ones
    effects = {}
    for source in range(10):
        change = size * 0.3 * random.normal(size=(PICTURES, TARGETS))
        change[:, -1] -= 0.8
        null = size * (random.normal(size=(DRAWS, 1, TARGETS)) + 0.3 * random.normal(size=(DRAWS, PICTURES, TARGETS)))
        effects[source] = _of(change, null, source)
    found = _judged(effects)
    confirmed = _confirmed(found).reshape(10, TARGETS)
    assert confirmed[:, -1].all() and not confirmed[:, :-1].any()
    assert (found.columns["null95"].reshape(10, TARGETS)[:, 0] > 10 * found.columns["null95"][-1]).all()


def test_chance_alone_confirms_next_to_nothing() -> None:
    random = np.random.default_rng(2)
    effects = {
        source: _of(random.normal(size=(PICTURES, TARGETS)), random.normal(size=(DRAWS, PICTURES, TARGETS)), source)
        for source in range(20)
    }
    assert _confirmed(_judged(effects)).mean() < 0.002


def test_random_directions_are_judged_by_the_same_rule() -> None:
    random = np.random.default_rng(4)
    effects = {
        source: _of(random.normal(size=(PICTURES, TARGETS)) - 3.0, random.normal(size=(3, PICTURES, TARGETS)), source)
        for source in range(5)
    }
    found = _judged(effects)
    assert _confirmed(found).mean() > 0.9
    assert found.null["placebos"] == 3 * 5 * TARGETS and found.null["placebos_confirmed"] < 0.01 * 3 * 5 * TARGETS
    single = {0: _of(random.normal(size=(PICTURES, TARGETS)), random.normal(size=(1, PICTURES, TARGETS)))}
    assert "placebos" not in _judged(single).null  # nothing to judge it against


def test_targets_that_are_off_where_a_source_fires_do_not_make_a_null_of_zeros() -> None:
    """Each source is tested on the four targets that are on in its chunks, which any direction moves; the others stay
    off, whatever is done there."""
    random, draws = np.random.default_rng(5), 6
    effects, pairs = {}, []
    for source in range(10):
        on = np.zeros(TARGETS)
        on[4 * source : 4 * source + 4] = 1
        level = random.normal(size=(draws + 1, 1, TARGETS)) + 0.1 * random.normal(size=(draws + 1, PICTURES, TARGETS))
        effects[source] = _of((level[0] - 6.0 * (np.arange(TARGETS) % 4 == 0)) * on, level[1:] * on, source)
        pairs += [(source, 4 * source + at) for at in range(4)]
    sources, targets = (list(side) for side in zip(*pairs, strict=True))
    found = edge_evidence(effects, sources, targets, list(range(TARGETS)), np.ones(TARGETS))
    confirmed = _confirmed(found).reshape(10, 4)
    assert confirmed[:, 0].mean() > 0.7 and confirmed[:, 1:].sum() <= 1


def test_few_draws_in_their_own_unit_would_let_chance_through() -> None:
    """Every edge has a target of its own and two draws, and targets differ tenfold; nothing is true."""
    random, edges = np.random.default_rng(6), 120
    size = np.exp(random.normal(size=edges))
    effects = {}
    for source in range(edges):
        level = size * random.standard_t(3, size=(DRAWS + 1, 1, edges))
        moves = level + 0.05 * np.abs(level) * random.normal(size=(DRAWS + 1, PICTURES, edges))
        effects[source] = _of(moves[0], moves[1:], source)
    own = list(range(edges))
    found = edge_evidence(effects, own, own, own, np.ones(edges))
    assert _confirmed(found).sum() <= 0.01 * edges and found.null["placebos_confirmed"] <= 0.01 * DRAWS * edges
