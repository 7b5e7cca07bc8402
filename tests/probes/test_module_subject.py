"""Any module as a subject: the hook contract, restarting, capture, and features that training finds again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from probes.activations.inputs import capture_inputs
from probes.activations.store import ActivationStore
from probes.errors import WorkbenchError
from probes.hierarchy.train_level import LevelConfig, level_objective, rows_for
from probes.hooks import Edit, HookPoint, Selector, Where, hooked, keep
from probes.subjects.module import ModuleSubject
from probes.subjects.subject import Call
from probes.training.loop import OptimiserConfig, Progress, train
from probes.training.randomness import generator
from tests.fixtures.worlds import HIGH_POINT, LOW_POINT, WIDTH, codes_of, inputs, two_storeys

EVERYWHERE = Selector()


class Pictures(nn.Module):
    """A small convolution whose inner output is a tuple: `batch channel height width` inside."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pair = nn.Conv2d(3, 8, 3, padding=1), _Pair()
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pair(self.conv(x))[1].relu().mean(dim=(2, 3)))


class _Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[str, Tensor]:
        return "aside", x * 2


def pictures(height: int = 4, width: int = 6) -> tuple[ModuleSubject, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        subject = ModuleSubject(Pictures(), name="pictures", member=1)
        return subject, torch.randn(5, 3, height, width)


SUBJECTS: dict[str, Callable[[], tuple[ModuleSubject, Any, list[HookPoint]]]] = {
    "batch d": lambda: (two_storeys(), codes_of(6), [LOW_POINT, HIGH_POINT]),
    "batch pos d": lambda: (two_storeys(0.5), codes_of(6, 5), [LOW_POINT, HIGH_POINT]),
    "batch channel height width": lambda: (*pictures(), [HookPoint(path="conv"), HookPoint(path="pair")]),
}


@pytest.fixture(params=list(SUBJECTS))
def case(request: pytest.FixtureRequest) -> tuple[ModuleSubject, Any, list[HookPoint]]:
    return SUBJECTS[request.param]()


def push(x: Tensor, where: Where) -> Tensor:
    return torch.sin(torch.arange(x.shape[-1]) + 1.0).expand(x.shape)


def hooks_left(subject: ModuleSubject) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in subject.root.modules())


@pytest.mark.parametrize("tap", ["in", "out", "update"])
def test_nothing_is_bit_identical_and_removal_restores_every_bit(case: Any, tap: str) -> None:
    subject, batch, points = case
    plain = subject.generate(batch)
    points = [point.model_copy(update={"tap": tap}) for point in points[: 1 if tap == "update" else 2]]
    if tap == "update" and isinstance(subject.root, Pictures):
        points = [HookPoint(path="pair", tap="update")]
    with hooked(subject, dict.fromkeys(points, keep), [Edit(p, EVERYWHERE, lambda x, w: 0 * x) for p in points]):
        assert torch.equal(subject.generate(batch), plain)
    with hooked(subject, write=[Edit(points[0], EVERYWHERE, push)]):
        assert not torch.allclose(subject.generate(batch), plain, atol=1e-3)
    assert torch.equal(subject.generate(batch), plain)
    assert hooks_left(subject) == 0


def test_an_edit_adds_what_it_returns_at_the_selected_places_only(case: Any) -> None:
    subject, batch, points = case
    plain = subject.activations(batch, {points[0]: keep})[points[0]]
    assert plain.ndim == 3
    where = Selector(rows=(1, 2), positions=(0, 2))
    after = HookPoint(path=points[0].path)
    with hooked(subject, write=[Edit(after, where, push)]) as tape, hooked(subject, {after: keep}) as outer:
        subject.run(batch)
    assert tape.edited_places[after] == 2 * min(2, plain.shape[1])
    moved = outer.last(after) - plain
    chosen = torch.zeros(plain.shape[:2], dtype=torch.bool)
    chosen[1:3, :2] = True
    assert torch.equal(moved.abs().sum(-1) > 0, chosen)
    torch.testing.assert_close(moved[chosen], push(plain, Where(0))[chosen])


def test_cells_of_a_picture_are_places_row_by_row() -> None:
    subject, batch = pictures(height=4, width=6)
    point = HookPoint(path="conv")
    with hooked(subject, {point: keep}, [Edit(point, Selector(positions=(7, 8)), push)]):
        edited = subject.activations(batch, {point: keep})[point]
    inner = subject.root.get_submodule("conv")(batch)
    assert edited.shape == (5, 24, 8)
    cell = inner[:, :, 1, 1]  # place 7 of rows of six cells
    torch.testing.assert_close(edited[:, 7] - cell, push(cell[:, None], Where(0))[:, 0])


def test_padding_is_never_edited_and_labels_are_the_callers_own() -> None:
    subject, batch = two_storeys(), codes_of(3, 4)
    padding = torch.zeros(3, 4, dtype=torch.bool)
    padding[0, 2:] = True
    with hooked(subject, write=[Edit(LOW_POINT, EVERYWHERE, push)]) as tape:
        subject.run(batch, padding)
    assert tape.edited_places[LOW_POINT] == 10

    def label(call: Call) -> Where:
        return Where(call.index, branches=("cond", "uncond", "cond"), noise=0.5)

    labelled = ModuleSubject(subject.root, name="labelled", label=label)
    edits = [Edit(LOW_POINT, where, push) for where in (EVERYWHERE, Selector(noise=(0.6, 1.0)))]
    with hooked(labelled, write=edits) as tape:
        labelled.run(batch)
    assert tape.edited_places[LOW_POINT] == 8


def test_words_for_tokens_are_refused_where_there_are_none() -> None:
    subject = two_storeys()
    with (
        pytest.raises(WorkbenchError, match="positions at 'all'"),
        hooked(subject, write=[Edit(LOW_POINT, Selector(positions="generated"), push)]),
    ):
        subject.run(codes_of(2))
    assert hooks_left(subject) == 0


@pytest.mark.parametrize("restart", [False, True])
def test_a_failure_inside_leaves_nothing_behind(restart: bool) -> None:
    subject, batch = two_storeys(), codes_of(4)
    plain = subject.generate(batch)

    def fail(*_: Any) -> Any:
        raise RuntimeError("on purpose")

    start = torch.zeros(4, 1, WIDTH)
    session = subject.restarted(LOW_POINT, start) if restart else hooked(subject, {LOW_POINT: keep})
    with pytest.raises(RuntimeError, match="on purpose"), session, hooked(subject, {LOW_POINT: fail}):
        subject.run(batch)
    assert hooks_left(subject) == 0 and "forward" not in vars(subject.root.low)
    assert torch.equal(subject.generate(batch), plain)


def test_a_silent_point_and_a_strange_activation_are_errors() -> None:
    subject = two_storeys()
    with pytest.raises(WorkbenchError, match="never fired"), hooked(subject, {HIGH_POINT: keep}):
        subject.activations(codes_of(2), {LOW_POINT: keep})
    flat = ModuleSubject(nn.Sequential(nn.Flatten(0)), name="flat")
    with pytest.raises(WorkbenchError, match="1 axes"):
        flat.activations(torch.zeros(2, 3), {HookPoint(path="0"): keep})


def test_a_feed_of_ones_own_and_draws_that_follow_the_seed() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Identity()

        def forward(self, x: Tensor, *, scale: float) -> Tensor:
            return self.inner(x * scale + torch.randn_like(x))

    subject = ModuleSubject(Noisy(), name="noisy", feed=lambda module, given: module(given["x"], scale=given["scale"]))
    given = {"x": torch.ones(2, 3), "scale": 4.0}
    assert torch.equal(subject.generate(given, seeds=[3]), subject.generate(given, seeds=[3]))
    assert not torch.equal(subject.generate(given, seeds=[3]), subject.generate(given, seeds=[4]))
    assert float(subject.generate(given).mean()) > 2


def test_a_restart_passes_on_the_given_activation_and_is_seen_by_this_thread_alone(case: Any) -> None:
    subject, batch, points = case
    plain, zero = subject.generate(batch), torch.zeros_like(batch)
    for point in points:
        x = subject.activations(batch, {point: keep})[point]
        with subject.restarted(point, x):
            assert torch.equal(subject.generate(zero), plain)
            with ThreadPoolExecutor(1) as other:
                beside = other.submit(subject.root, zero).result(timeout=30)
        assert not torch.equal(beside, plain)
    assert torch.equal(subject.generate(batch), plain)


# -- capture and training --------------------------------------------------------------------------------


def test_a_store_holds_what_the_module_computes_and_how_to_run_it_again(data_home: Any) -> None:
    subject = two_storeys()
    store = ActivationStore(capture_inputs(subject, inputs(8, 10, 5), name="storeys", held_out=0.25, batch=4))
    assert [document.split for document in store.index.documents].count("held_out") == 2
    assert [info.fraction for info in store.index.points] == [0.25, 0.75]
    shard = store.shards("held_out")[0]
    again = subject.activations(store.inputs(shard), {HIGH_POINT: keep})[HIGH_POINT]
    assert torch.equal(store.activations(shard, HIGH_POINT), again)
    assert store.usable(shard, LOW_POINT).all() and store.usable(shard, LOW_POINT).shape == (10, 5)


@pytest.mark.parametrize("batches", [1, 3])
def test_inputs_that_leave_nothing_to_hold_out_are_refused(data_home: Any, batches: int) -> None:
    with pytest.raises(WorkbenchError, match="too few"):
        capture_inputs(two_storeys(), inputs(batches, 4), name="one-sided", held_out=0.25)


def test_points_of_different_lengths_do_not_share_a_store(data_home: Any) -> None:
    subject, batch = pictures()
    with pytest.raises(WorkbenchError, match="places per item"):
        capture_inputs(subject, [batch] * 9, [HookPoint(path="conv"), HookPoint(path="head")], name="uneven")


class Mixture(nn.Module):
    """A hidden layer that is a sparse mixture of more directions than it has dimensions."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        rows = torch.randn(features, width, generator=generator(0, "rows"))
        self.rows = nn.functional.normalize(rows, dim=1)
        self.hidden, self.head = nn.Identity(), nn.Linear(width, 1)

    def forward(self, codes: Tensor) -> Tensor:
        return self.head(self.hidden(codes @ self.rows))


def test_a_dictionary_trained_on_a_module_finds_its_known_features(data_home: Any) -> None:
    features, width = 40, 24
    world = Mixture(features, width)
    subject = ModuleSubject(world, name="mixture", points=[HookPoint(path="hidden")])

    def codes(number: int) -> Tensor:
        draw = generator(1, "codes", number)
        on = torch.rand(2000, features, generator=draw) < 0.06
        return on * (0.5 + torch.rand(2000, features, generator=draw))

    store = ActivationStore(capture_inputs(subject, map(codes, range(16)), name="mixture"))
    optimiser = OptimiserConfig(steps=350, batch=512, learning_rate=4e-3)
    config = LevelConfig(depth=0.5, n_latents=64, k=3, dead_after=20_000, optimiser=optimiser)
    rows = rows_for(store, config, seed=0)
    objective = level_objective(rows, config, seed=0)
    train(objective, rows.batch_at, optimiser, Progress(lambda *_: None, lambda: False, lambda *_: None))
    found = objective.representation.w_dec.detach()
    cosine = (world.rows @ found.T).amax(dim=1)
    chance = (world.rows @ nn.functional.normalize(torch.randn(64, width, generator=generator(2, "c")), dim=1).T).amax(
        1
    )
    assert float(cosine.mean()) > 0.9
    assert float(chance.mean()) < 0.65
