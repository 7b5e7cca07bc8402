"""The rule for edges of images: one of many tests, and against random directions in the same pictures."""

from __future__ import annotations

import numpy as np

from concept_graphs.effects import EdgeEvidence, edge_evidence
from concept_graphs.evidence import SourceEffects

TARGETS, PICTURES, DRAWS = 40, 12, 2


def _of(change: np.ndarray, null: np.ndarray, source: int = 0) -> SourceEffects:
    """Effects of one source on TARGETS, `picture target` and `draw picture target`."""
    one = np.ones_like(change)
    return SourceEffects(source, change, change, null, null, one, one, change, one)


def _judged(effects: dict[int, SourceEffects], *, paired: bool) -> EdgeEvidence:
    targets = list(range(TARGETS))
    sources = [source for source in effects for _ in targets]
    return edge_evidence(effects, sources, targets * len(effects), targets, np.ones(TARGETS), paired=paired)


def _confirmed(found: EdgeEvidence) -> np.ndarray:
    return np.isin(found.columns["verdict"], ["composed", "carried"])


def test_what_any_direction_does_as_well_is_no_edge_of_the_source() -> None:
    """Every direction taken out of these pictures lowers every target by as much, but for the draws' own spread."""
    random = np.random.default_rng(0)
    common = -1 + 0.3 * random.normal(size=(PICTURES, 1))
    change = common + 0.05 * random.normal(size=(PICTURES, TARGETS))
    null = common + 0.05 * random.normal(size=(DRAWS, PICTURES, TARGETS))
    found = _judged({0: _of(change, null)}, paired=True)
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
    found = _confirmed(_judged(effects, paired=True)).reshape(true.shape)
    assert found[true].all() and found[~true].mean() < 0.02
    loose = _confirmed(_judged(effects, paired=False)).reshape(true.shape)
    assert loose[~true].sum() > found[~true].sum()  # one test at a time lets chance through


def test_chance_alone_confirms_next_to_nothing() -> None:
    random = np.random.default_rng(2)
    effects = {
        source: _of(random.normal(size=(PICTURES, TARGETS)), random.normal(size=(DRAWS, PICTURES, TARGETS)), source)
        for source in range(20)
    }
    assert _confirmed(_judged(effects, paired=True)).mean() < 0.002
    assert _confirmed(_judged(effects, paired=False)).mean() > 0.01
