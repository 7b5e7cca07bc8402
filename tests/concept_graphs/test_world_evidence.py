"""Interventions on worlds: true edges and no others, in the direction the module runs, and effects as counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from concept_graphs.evidence import EvidenceConfig
from concept_graphs.world_evidence import Placed, all_effects, deviation_of, mean_effects, true_level
from probes.hooks import Edit, Selector, hooked, keep
from probes.worlds.generated import Generated
from probes.worlds.storeys import Storeys

EVIDENCE = EvidenceConfig(chunks=48, nulls=1, rows=4096)


@pytest.fixture(scope="module", params=[Storeys, Generated])
def world(request: pytest.FixtureRequest) -> Any:
    return request.param(request.param.Config(), 0)


def placed(world: Any) -> list[Placed]:
    return [Placed(at, true_level(view, world.config.read_above)) for at, view in enumerate(world.views)]


def test_ablating_a_concept_moves_what_the_graph_says_and_nothing_else(world: Any) -> None:
    sample, levels = world.draw(1500, 1), placed(world)
    for at, parts in enumerate(world.parts):
        found = all_effects(world.subject(), sample, levels[at], levels[at + 1], world.direction, EVIDENCE)
        assert found.effect.shape == parts.shape and np.isfinite(found.effect).all()
        assert (found.effect[parts] < -0.1).all() and np.abs(found.effect[~parts]).max() < 1e-4
        assert (found.low <= found.effect).all() and (found.effect <= found.high).all()
        assert np.isfinite(found.table[parts]).all()
        assert not (found.confirmed & ~parts).any()


def test_the_effect_over_all_rows_is_the_mean_change_of_the_code_where_the_source_was_on(world: Any) -> None:
    sample, levels = world.draw(600, 2), placed(world)
    low, high = levels[:2]
    first, then = (low, high) if world.direction == "composes" else (high, low)
    deviation = deviation_of(sample, then)
    found = mean_effects(world.subject(), sample, low, high, world.direction, deviation=deviation)
    found = found if world.direction == "composes" else found.T  # target source
    subject, inputs = world.subject(), torch.from_numpy(sample.inputs)
    points = {point.path: point for point in subject.points.suggested}
    views = [world.views[one.view] for one in (first, then)]
    start, read = torch.from_numpy(sample.x[first.view])[:, None], points[views[1].name]

    def codes_after(edits: list[Edit]) -> torch.Tensor:
        with subject.restarted(points[views[0].name], start), hooked(subject, {read: keep}, edits) as tape:
            subject.run(inputs)
        return then.level.space.encode(tape.last(read)[:, 0]).dense()

    before = codes_after([])
    z = first.level.space.encode(start[:, 0]).dense()
    for source in range(3):
        row = torch.from_numpy(views[0].directions[source])
        change = -z[:, source, None] * row
        moved = codes_after([Edit(points[views[0].name], Selector(), lambda x, where, c=change: c[:, None])]) - before
        expected = moved[z[:, source] > 0].mean(dim=0).numpy() / deviation
        np.testing.assert_allclose(found[:, source], expected, atol=2e-3)  # codes are kept in half precision
