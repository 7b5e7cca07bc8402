"""Worlds: what every row of the registry owes, and that each world is what it says it is."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from probes.activations.inputs import capture_inputs
from probes.activations.store import ActivationStore
from probes.configs import validated
from probes.errors import WorkbenchError
from probes.hooks import Edit, Selector, hooked, keep
from probes.worlds.generated import Generated, GeneratedConfig
from probes.worlds.layers import SIZES, LayersConfig, graph
from probes.worlds.registry import WORLDS
from probes.worlds.selection import Composition
from probes.worlds.storeys import Storeys, StoreysConfig
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
    seen = subject.activations(torch.from_numpy(sample.inputs), dict.fromkeys(subject.points.suggested, keep))
    found = {point.path: x[:, 0] for point, x in seen.items()}
    assert set(found) == {view.name for view in world.views}
    for view, truth in zip(world.views, sample.codes, strict=True):
        torch.testing.assert_close(found[view.name], torch.from_numpy(truth @ view.directions), rtol=1e-4, atol=1e-4)


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


@pytest.mark.parametrize("spread", [0.0, 0.4])
def test_selected_rows_come_as_often_as_the_formula_says(spread: float) -> None:
    """Against all 512 rows of a small world, weighed one by one, the mean over strengths where these differ."""
    config = StoreysConfig(low=9, middle=4, high=2, spread=spread)
    world, random = Storeys(config, 0), np.random.default_rng(0)
    on = np.array(list(product([0, 1], repeat=9)), dtype=np.float32)
    share, orphans = config.active / config.low, config.orphans
    shares = np.zeros((2, len(on)))
    for _ in range(3000 if spread else 1):
        every = on * random.lognormal(0, spread, 9).astype(np.float32)
        middle = world.compositions[0].apply(every)
        high = world.compositions[1].apply(middle)
        lonely = np.zeros(len(every))
        for parts, wholes, composition in zip((every, middle), (middle, high), world.compositions, strict=True):
            lonely += ((parts > 0) & ~((wholes > 0) @ (composition.weights > 0))).sum(axis=1)
        weight = np.exp(-orphans * lonely) * np.prod(np.where(on > 0, share, 1 - share), axis=1)
        given = weight * (high.T > 0) * ((high > 0).sum(axis=1) <= config.most)
        total = given.sum(axis=1, keepdims=True)  # 0 where nothing is allowed with these strengths: drawn again
        shares += given / np.where(total > 0, total, 1)
    expected = 20_000 * (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
    rows = world.draw(20_000, 0).codes[0] > 0
    seen = np.bincount(rows @ (2 ** np.arange(9)[::-1]), minlength=512)
    assert spread or seen[expected == 0].sum() == 0
    often = expected > 5
    assert (
        chisquare([*seen[often], seen[~often].sum() + 1], [*expected[often], expected[~often].sum() + 1]).pvalue > 1e-3
    )


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


@pytest.mark.parametrize("size", SIZES)
def test_worlds_of_a_named_size_have_it_either_way(size: str) -> None:
    counts = [int(part) for part in size.split("/")]
    for made in (Storeys, Generated):
        world = made(made.Config(**SIZES[size]), 0)
        codes = world.draw(600, 0).codes
        assert [view.n for view in world.views] == counts
        assert [part.shape for part in world.parts] == [(counts[1], counts[0]), (counts[2], counts[1])]
        assert all((some > 0).any(axis=0).all() for some in codes), "every concept is seen"
    assert max(sum(int(part) for part in size.split("/")) for size in SIZES) >= 60


def test_twins_have_the_same_wholes() -> None:
    for seed in range(10):
        edges = graph(np.random.default_rng(seed), 24, 10, 2.0, twins=5)
        assert edges.shape == (10, 24) and edges.any(axis=0).all() and (edges.sum(axis=1) >= 2).all()
        wholes = {column.tobytes() for column in edges.T}
        assert len(wholes) <= 24 - 5


@pytest.mark.parametrize(
    ("config", "dials", "said"),
    [
        (StoreysConfig, {"low": 24, "twins": 13}, "twins: 13 pairs need 26 of 24 concepts.*Correct twins"),
        (GeneratedConfig, {"low": 24, "twins": 13}, "twins: 13 pairs need 26 of 24 concepts.*Correct twins"),
        (GeneratedConfig, {"d_model": 20, "carried": 0.5}, "carried: the 24 concepts of a view fill its 20 dim"),
        (StoreysConfig, {"d_model": 10, "carried": 0.5}, "carried: the 10 concepts of a view fill its 10 dim"),
        (StoreysConfig, {"low": 8, "active": 8.0}, "active: it must be less than the 8 concepts"),
        (StoreysConfig, {"spread": 1000.0}, "spread: it must be at most 5"),
    ],
)
def test_dials_of_no_possible_world_are_refused_before_one_is_made(
    config: type[LayersConfig], dials: dict[str, Any], said: str
) -> None:
    with pytest.raises(WorkbenchError, match=said):
        validated(config, dials, what="The world")


def test_a_view_that_is_not_computed_from_another_needs_no_room_for_what_is_carried() -> None:
    """The lowest view of the storeys is the first one: it may be as crowded as it likes."""
    assert Storeys(StoreysConfig(d_model=20, carried=0.5), 0).draw(4, 0).x[0].shape == (4, 20)


def test_a_view_of_more_concepts_than_dimensions_is_read_with_few_errors_and_the_next_follows_what_was_read() -> None:
    world = Storeys(StoreysConfig(d_model=20), 0)
    sample, reader = world.draw(800, 0), world.module.readers[0]
    assert not reader.exact and world.module.readers[1].exact
    cosines = world.views[0].directions @ world.views[0].directions.T
    welch = (24 / 20 - 1) / (24 - 1)
    assert np.square(cosines[~np.eye(24, dtype=bool)]).mean() == pytest.approx(welch, rel=0.05)
    read = reader(torch.from_numpy(sample.codes[0] @ world.views[0].directions)).numpy()
    wrong = ((read > 0) != (sample.codes[0] > 0)).sum() / (sample.codes[0] > 0).sum()
    assert 0 < wrong < 0.25
    np.testing.assert_allclose(sample.codes[1], world.compositions[0].apply(read), atol=1e-4)


def test_a_generated_whole_turns_on_its_parts_as_often_as_asked_and_parts_are_independent_given_it() -> None:
    world = Generated(GeneratedConfig(shared=0.0, given=0.6, alone=0.05), 2)
    low, middle, _ = (codes > 0 for codes in world.draw(20_000, 0).codes)
    parts = world.parts[0]
    for whole in range(parts.shape[0]):
        mine = np.flatnonzero(parts[whole])
        on, off = low[middle[:, whole]][:, mine], low[~middle[:, whole]][:, mine]
        assert on.mean() == pytest.approx(1 - 0.4 * 0.95, abs=0.02)
        assert off.mean() == pytest.approx(0.05, abs=0.01)
        assert np.abs(np.corrcoef(on[:, :2].T)[0, 1]) < 0.05
    selected = Storeys(StoreysConfig(needed=0.2), 2)
    low, middle, _ = (codes > 0 for codes in selected.draw(2000, 0).codes)
    pairs = [np.flatnonzero(row)[:2] for row in selected.parts[0]]
    dependent = [np.corrcoef(low[middle[:, whole]][:, pair].T)[0, 1] for whole, pair in enumerate(pairs)]
    assert np.mean(dependent) < -0.2, "of a selection any part suffices, so that one explains the other away"


def test_removing_a_whole_in_a_generated_world_turns_off_its_parts_and_nothing_else() -> None:
    world = Generated(GeneratedConfig(), 1)
    subject, sample = world.subject(), world.draw(400, 0)
    high, middle, low = subject.points.suggested
    assert [point.path for point in (high, middle, low)] == ["high", "middle", "low"]
    inputs = torch.from_numpy(sample.inputs)
    before = subject.activations(inputs, {low: keep})[low]
    for whole in range(4):
        row = torch.from_numpy(world.views[1].directions[whole])
        remove = Edit(middle, Selector(), lambda x, where, d=row: -(x @ d)[..., None] * d)
        with hooked(subject, {low: keep}, [remove]) as tape:
            subject.run(inputs)
        moved = (tape.last(low) - before)[:, 0] @ torch.from_numpy(world.views[0].directions).T
        parts = world.parts[0][whole]
        assert not bool((moved[:, ~parts].abs() > 1e-4).any())
        on = torch.from_numpy(sample.codes[1][:, whole] > 0)
        assert bool((moved[:, parts] < -0.2).any()) and not bool((moved[~on].abs() > 1e-4).any())


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


def test_a_world_whose_selection_lets_no_row_through_is_refused() -> None:
    # Any part turns every whole on, and one highest concept at most may be on.
    config = StoreysConfig(low=8, middle=4, high=4, shared=2.0, needed=0.01, most=1, sweeps=1)
    with pytest.raises(WorkbenchError, match="lets hardly any row of this world through"):
        Storeys(config, 0).draw(2000, 1)
