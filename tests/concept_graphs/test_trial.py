"""Targets chosen by trial: planted effects are found, what every direction does is not."""

from __future__ import annotations

import numpy as np
import pytest

from concept_graphs.edges.trial import edges_by_trial
from concept_graphs.evidence import SourceEffects

TARGETS = list(range(100, 160))


def _effects(seed: int) -> tuple[dict[int, SourceEffects], set[tuple[int, int]]]:
    """Five sources with three true targets each; target 100 is moved by any direction, target 101 by none at all."""
    random = np.random.default_rng(seed)
    found, true = {}, set()
    for source in range(5):
        change = 0.2 * random.normal(size=(8, len(TARGETS)))
        null = 0.2 * random.normal(size=(1, 8, len(TARGETS)))
        for at in random.choice(np.arange(2, len(TARGETS)), size=3, replace=False):
            change[:, at] -= 1.0
            true.add((source, TARGETS[at]))
        change[:, 0] -= 2.0
        null[:, :, 0] -= 2.0
        change[:, 1], null[:, :, 1] = 1e-6, 0.0
        one = np.ones_like(change)
        found[source] = SourceEffects(source, change, change, null, null, one, one, change, one)
    return found, true


@pytest.mark.parametrize("generates", [True, False])
def test_planted_targets_are_the_ones_chosen(generates: bool) -> None:
    effects, true = _effects(0)
    found = edges_by_trial(effects, TARGETS, np.ones(len(TARGETS)), each=3, generates=generates)
    ends = (found.target, found.source) if generates else (found.source, found.target)
    chosen = set(zip(*(end.tolist() for end in ends), strict=True))
    assert len(chosen & true) >= 14 and len(chosen) == 15
    assert (np.diff(found.score) <= 0).all()


def test_each_source_has_its_best_and_no_effects_give_no_edges() -> None:
    effects, _ = _effects(1)
    ones = np.ones(len(TARGETS))
    assert np.unique(edges_by_trial(effects, TARGETS, ones, each=2, generates=True).target).tolist() == list(range(5))
    assert len(edges_by_trial({}, TARGETS, ones, each=2, generates=True)) == 0
