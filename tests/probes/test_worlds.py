"""Worlds: what every row of the registry owes, and that each world is what it says it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from probes.activations.inputs import capture_inputs
from probes.activations.store import ActivationStore
from probes.errors import WorkbenchError
from probes.hooks import Edit, Selector, hooked, keep
from probes.worlds.registry import WORLDS
from probes.worlds.selection import Composition
from probes.worlds.storeys import Storeys, StoreysConfig, graph
from tests.fixtures.registries import check_config, check_row, rows_of


@pytest.fixture(scope="module", params=list(WORLDS))
def world(request: pytest.FixtureRequest) -> Any:
    made = WORLDS.load(request.param)
    return made(made.Config(), 3)


@pytest.mark.parametrize(("table", "name"), rows_of(WORLDS))
def test_every_row_imports_and_says_what_it_is(table: Any, name: str) -> None:
    check_row(table, name)
    check_config(table.load(name).Config)


def test_a_world_is_a_function_of_its_seeds_and_rows_are_made_of_its_concepts(world: Any) -> None:
    first, again, other = world.draw(400, 1), world.draw(400, 1), world.draw(400, 2)
    fresh = type(world)(world.config, 4)
    for number, view in enumerate(world.views):
        np.testing.assert_allclose(np.linalg.norm(view.directions, axis=1), 1, rtol=1e-5)
        assert np.array_equal(first.x[number], again.x[number])
        assert not np.array_equal(first.x[number], other.x[number])
        assert not np.allclose(view.directions, fresh.views[number].directions)
        codes = first.codes[number]
        assert codes.shape == (400, view.n) and codes.dtype == np.float32 and (codes >= 0).all()
        rest = first.x[number] - codes @ view.directions
        assert rest.std() == pytest.approx(world.config.noise, rel=0.1)
        assert view.members.shape == (view.n, view.n)


def test_a_worlds_subject_makes_its_views(world: Any) -> None:
    sample, subject = world.draw(64, 5), world.subject()
    seen = subject.activations(torch.from_numpy(sample.codes[0]), dict.fromkeys(subject.points.suggested, keep))
    assert [point.path for point in seen] == [view.name for view in world.views]
    for view, truth, found in zip(world.views, sample.codes, seen.values(), strict=True):
        torch.testing.assert_close(found[:, 0], torch.from_numpy(truth @ view.directions), rtol=1e-4, atol=1e-4)


def test_concepts_are_on_as_often_as_asked() -> None:
    mixture = WORLDS.load("mixture")
    codes = mixture(mixture.Config(active=5.0), 0).draw(4000, 0).codes[0]
    assert (codes > 0).sum(axis=1).mean() == pytest.approx(5, rel=0.03)
    for name, alone in (("tree", 0.05), ("loose", 0.7)):
        made = WORLDS.load(name)
        world = made(made.Config(), 0)
        on = world.draw(8000, 0).codes[0] > 0
        wholes, parts = on[:, :12], on[:, 12:].reshape(-1, 12, 4)
        assert wholes.sum(axis=1).mean() == pytest.approx(2, rel=0.03)
        assert not (parts.any(axis=2) & ~wholes).any(), "a part is on only where its whole is"
        assert 1 - parts.any(axis=2)[wholes].mean() == pytest.approx(alone, abs=0.02)
        members = world.views[0].members
        assert members[:12].sum(axis=1).tolist() == [4] * 12 and not members[12:].any()


def test_selection_leaves_few_orphans_and_only_allowed_tops() -> None:
    free = Storeys(StoreysConfig(orphans=0.0), 0).draw(1500, 0)
    world = Storeys(StoreysConfig(), 0)
    selected = world.draw(1500, 0)

    def orphans(codes: Any) -> float:
        on = codes[0] > 0
        return float((on & ~((codes[1] > 0) @ world.parts[0])).sum() / on.sum())

    assert orphans(selected.codes) < 0.5 * orphans(free.codes)
    top = (selected.codes[-1] > 0).sum(axis=1)
    assert top.min() >= 1 and top.max() <= 2


def test_a_storey_composes_the_one_below_and_carries_it_only_when_asked() -> None:
    parts = np.array([[True, True, False], [False, True, True]])
    both = Composition.of(parts, 1.0)
    assert both.thresholds.tolist() == [1.5, 1.5]
    np.testing.assert_allclose(both.apply(np.array([[1.0, 1.0, 0.4]], dtype=np.float32)), [[0.5, 0.0]])
    either = Composition.of(parts, 0.1)
    np.testing.assert_allclose(either.apply(np.array([[0.0, 1.0, 0.0]], dtype=np.float32)), [[0.5, 0.5]])
    for carried in (0.0, 0.5):
        world = Storeys(StoreysConfig(carried=carried), 0)
        sample = world.draw(200, 0)
        rest = sample.x[1] - sample.codes[1] @ world.views[1].directions
        assert (np.abs(rest).max() > 0.2) == (carried > 0)


def test_removing_a_part_in_the_subject_moves_its_wholes_and_nothing_else() -> None:
    world = Storeys(StoreysConfig(needed=1.0), 1)
    subject, sample = world.subject(), world.draw(300, 0)
    low, middle, _ = subject.points.suggested
    inputs = torch.from_numpy(sample.codes[0])
    row = torch.from_numpy(world.views[0].directions)
    for part in range(4):
        remove = Edit(low, Selector(), lambda x, where, d=row[part]: -(x @ d)[..., None] * d)
        with hooked(subject, {middle: keep}, [remove]) as tape:
            subject.run(inputs)
        before = subject.activations(inputs, {middle: keep})[middle]
        moved = (tape.last(middle) - before)[:, 0] @ torch.from_numpy(world.views[1].directions).T
        wholes = world.parts[0][:, part]
        assert not bool((moved[:, ~wholes].abs() > 1e-4).any())
        active = torch.from_numpy(sample.codes[1][:, wholes] > 0).any(dim=1)
        assert not bool(active.any()) or bool((moved[active][:, wholes] < -1e-3).any())


def test_every_part_of_a_made_graph_has_a_whole_and_every_whole_two_parts() -> None:
    for seed in range(20):
        edges = graph(np.random.default_rng(seed), 24, 10, 0.33)
        assert edges.any(axis=0).all() and (edges.sum(axis=1) >= 2).all()
        assert 24 <= edges.sum() <= 24 + 8 + 10


def test_a_world_whose_views_cannot_be_read_back_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="do not fit"):
        Storeys(StoreysConfig(d_model=10), 0)


def test_a_world_is_captured_like_any_subject(data_home: Any) -> None:
    world = Storeys(StoreysConfig(), 0)
    batches = [torch.from_numpy(world.draw(64, seed).codes[0]) for seed in range(9)]
    store = ActivationStore(capture_inputs(world.subject(), batches, name="storeys-world", held_out=1 / 3))
    shard = store.shards("train")[0]
    point = world.subject().points.suggested[2]
    expected = subject_view(world, store.inputs(shard), point)
    torch.testing.assert_close(store.activations(shard, point), expected, rtol=1e-4, atol=1e-4)


def subject_view(world: Any, inputs: torch.Tensor, point: Any) -> torch.Tensor:
    found: torch.Tensor = world.subject().activations(inputs, {point: keep})[point]
    return found
