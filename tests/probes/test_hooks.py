"""The hook contract, on every family: what edits do, what they never do, and what is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from probes.errors import WorkbenchError
from probes.hooks import Edit, HookPoint, Selector, Where, hooked, keep
from probes.subjects.text_autoregressive import TextAutoregressive

EVERYWHERE = Selector()
TAPS = ("in", "out", "update")


@pytest.fixture
def tokens() -> Tensor:
    """Two rows of nine token ids that every vocabulary has."""
    return torch.randint(20, 120, (2, 9), generator=torch.Generator().manual_seed(7))


def block(subject: TextAutoregressive, index: int, tap: str = "out") -> HookPoint:
    return HookPoint(path=subject.layer_point(index).path, tap=tap)  # type: ignore[arg-type]


def inner(subject: TextAutoregressive, tap: str) -> HookPoint:
    """The feed-forward part (or the mixer) inside the second block."""
    names = {name for name, _ in subject.blocks[1].named_children()}
    return HookPoint(path=f"{block(subject, 1).path}.{'mlp' if 'mlp' in names else 'mixer'}", tap=tap)  # type: ignore[arg-type]


def constant(size: float) -> Callable[[Tensor, Where], Tensor]:
    """Adds the same uneven direction everywhere, `size` times."""
    return lambda x, where: size * torch.sin(torch.arange(x.shape[-1]) + 1.0).expand(x.shape)


def nothing(x: Tensor, where: Where) -> Tensor:
    return torch.zeros_like(x)


def hooks_left(subject: TextAutoregressive) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in subject.model.modules())


def scale_of(subject: TextAutoregressive, tokens: Tensor) -> float:
    """A push that is felt: the typical size of one activation component of the first block."""
    point = block(subject, 0)
    return float(subject.activations(tokens, {point: keep})[point][:, 1:].std())


# -- what is left alone ------------------------------------------------------------------------------


@pytest.mark.parametrize("tap", TAPS)
def test_an_edit_of_nothing_is_bit_identical(subject: TextAutoregressive, tokens: Tensor, tap: str) -> None:
    plain = subject.logits(tokens)
    points = (block(subject, 0, tap), inner(subject, tap))
    with hooked(subject, write=[Edit(point, EVERYWHERE, nothing) for point in points]) as tape:
        edited = subject.logits(tokens)
    assert torch.equal(plain, edited)
    assert tape.edited_places == dict.fromkeys(points, tokens.numel())


def test_reading_is_bit_identical(subject: TextAutoregressive, tokens: Tensor) -> None:
    plain = subject.logits(tokens)
    with hooked(subject, {block(subject, 1, tap): keep for tap in TAPS}):
        assert torch.equal(plain, subject.logits(tokens))


@pytest.mark.parametrize("tap", TAPS)
def test_an_edit_is_felt_and_its_removal_restores_every_bit(
    subject: TextAutoregressive, tokens: Tensor, tap: str
) -> None:
    plain = subject.logits(tokens)
    push = constant(scale_of(subject, tokens))
    with hooked(subject, write=[Edit(block(subject, 0, tap), EVERYWHERE, push)]):
        edited = subject.logits(tokens)
    assert not torch.allclose(plain, edited, atol=1e-3)
    assert torch.equal(plain, subject.logits(tokens))
    assert hooks_left(subject) == 0


def test_other_rows_of_the_batch_are_bit_identical(subject: TextAutoregressive, tokens: Tensor) -> None:
    plain = subject.logits(tokens)
    with hooked(subject, write=[Edit(block(subject, 0), Selector(rows=(1,)), constant(5.0))]) as tape:
        edited = subject.logits(tokens)
    assert torch.equal(plain[0], edited[0])
    assert not torch.equal(plain[1], edited[1])
    assert tape.edited_places[block(subject, 0)] == tokens.shape[1]


def test_earlier_positions_never_feel_a_later_edit(subject: TextAutoregressive, tokens: Tensor) -> None:
    plain = subject.logits(tokens)
    push = constant(scale_of(subject, tokens))
    with hooked(subject, write=[Edit(block(subject, 0), Selector(positions=(5, 7)), push)]) as tape:
        edited = subject.logits(tokens)
    assert torch.equal(plain[:, :5], edited[:, :5])
    assert not torch.allclose(plain[:, 5], edited[:, 5], atol=1e-3)
    assert tape.edited_places[block(subject, 0)] == 2 * 2


def test_padding_is_never_edited(subject: TextAutoregressive, tokens: Tensor) -> None:
    padding = torch.zeros_like(tokens, dtype=torch.bool)
    padding[1, 6:] = True
    below, above = block(subject, 0), block(subject, 1, "in")
    with hooked(subject, {above: keep}) as plain:
        subject.run(tokens, padding)
    with hooked(subject, {above: keep}, [Edit(below, EVERYWHERE, constant(3.0))]) as tape:
        subject.run(tokens, padding)
    moved = (tape.last(above) != plain.last(above)).any(-1)
    assert torch.equal(moved, ~padding)
    assert tape.edited_places[below] == int((~padding).sum())


def test_what_an_edit_returns_where_it_is_not_selected_does_not_matter(
    tiny_subject: TextAutoregressive, tokens: Tensor
) -> None:
    def broken_outside(x: Tensor, where: Where) -> Tensor:
        change = torch.full_like(x, float("nan"))
        change[:, 2:4] = 0
        return change

    plain = tiny_subject.logits(tokens)
    with hooked(tiny_subject, write=[Edit(block(tiny_subject, 0), Selector(positions=(2, 4)), broken_outside)]):
        assert torch.equal(plain, tiny_subject.logits(tokens))


# -- what an edit does -------------------------------------------------------------------------------


def test_an_edit_adds_exactly_what_it_returns(subject: TextAutoregressive, tokens: Tensor) -> None:
    below, above = block(subject, 0), block(subject, 1, "in")
    push = constant(scale_of(subject, tokens))
    with hooked(subject, {below: keep, above: keep}, [Edit(below, EVERYWHERE, push)]) as tape:
        subject.run(tokens)
    seen = tape.last(below)
    expected = (seen.float() + push(seen.float(), None)).to(seen.dtype)  # type: ignore[arg-type]
    assert torch.equal(tape.last(above), expected)


@pytest.mark.parametrize("inside", [False, True])
def test_the_three_taps_agree(subject: TextAutoregressive, tokens: Tensor, inside: bool) -> None:
    points = {tap: inner(subject, tap) if inside else block(subject, 1, tap) for tap in TAPS}
    with hooked(subject, dict.fromkeys(points.values(), keep)) as tape:
        subject.run(tokens)
    seen = {tap: tape.last(point) for tap, point in points.items()}
    assert torch.equal(seen["update"], seen["out"] - seen["in"])
    assert not torch.equal(seen["out"], seen["in"])


def test_the_update_is_measured_from_the_edited_input(subject: TextAutoregressive, tokens: Tensor) -> None:
    """A push at the input of a block is no part of what the block adds, whatever the order of hooks."""
    points = {tap: block(subject, 1, tap) for tap in TAPS}
    push = constant(scale_of(subject, tokens))
    with hooked(subject, {points["update"]: keep, points["out"]: keep}, [Edit(points["in"], EVERYWHERE, push)]) as tape:
        subject.run(tokens)
    with hooked(subject, {points["in"]: keep}) as plain:
        subject.run(tokens)
    given = plain.last(points["in"])
    pushed = (given.float() + push(given.float(), None)).to(given.dtype)  # type: ignore[arg-type]
    assert torch.equal(tape.last(points["update"]), tape.last(points["out"]) - pushed)


def test_an_edit_at_the_update_adds_to_the_output(subject: TextAutoregressive, tokens: Tensor) -> None:
    push = constant(scale_of(subject, tokens))
    results = []
    for tap in ("out", "update"):
        with hooked(subject, write=[Edit(block(subject, 0, tap), EVERYWHERE, push)]):
            results.append(subject.logits(tokens))
    assert torch.equal(*results)


def bent(strength: float) -> Callable[[Tensor, Where], Tensor]:
    """A change that depends on the activation it is given."""
    return lambda x, where: strength * x.roll(1, -1)


@pytest.mark.parametrize("taps", [("out", "out"), ("in", "in"), ("out", "update")])
def test_edits_at_one_place_see_the_unedited_activation_in_any_order(
    subject: TextAutoregressive, tokens: Tensor, taps: tuple[str, str]
) -> None:
    first, second = (
        Edit(block(subject, 0, tap), EVERYWHERE, bent(strength))
        for tap, strength in zip(taps, (0.5, 0.25), strict=True)
    )
    results = []
    for edits in ([first, second], [second, first]):
        with hooked(subject, {block(subject, 1, "in"): keep}, edits) as tape:
            subject.run(tokens)
        results.append(tape.last(block(subject, 1, "in")))
    assert torch.equal(*results)
    if taps == ("out", "out"):
        with hooked(subject, {block(subject, 0): keep}) as plain:
            subject.run(tokens)
        x = plain.last(block(subject, 0)).float()
        assert torch.allclose(results[0].float(), x + 0.75 * x.roll(1, -1), rtol=1e-5, atol=1e-5)


def test_edits_at_two_points_act_one_after_the_other(subject: TextAutoregressive, tokens: Tensor) -> None:
    edits = [Edit(block(subject, index), EVERYWHERE, bent(0.3)) for index in (0, 1)]
    results = []
    for order in (edits, edits[::-1]):
        with hooked(subject, write=order):
            results.append(subject.logits(tokens))
    assert torch.equal(*results)
    with hooked(subject, write=edits[:1]), hooked(subject, write=edits[1:]):
        assert torch.equal(results[0], subject.logits(tokens))


def test_an_edit_may_read_before_it_writes(subject: TextAutoregressive, tokens: Tensor) -> None:
    """Taking out what a part gave, computed from what it was given, leaves nothing of it; strength 0 every bit."""
    reads, writes = inner(subject, "in"), inner(subject, "out")
    if "mlp" not in writes.path:
        pytest.skip("a mixer cannot be computed again from its input alone")
    part, met = subject.points.module(writes), []

    def undone(x: Tensor, where: Where) -> Tensor:
        assert where.written is not None
        met.append((x, where.written.float()))
        return -part.forward(x.to(subject.dtype)).float()

    with hooked(subject, {writes: keep}) as plain:
        logits = subject.logits(tokens)
    with hooked(subject, write=[Edit(writes, EVERYWHERE, undone, reads=reads)]):
        changed = subject.logits(tokens)
    assert not torch.allclose(changed, logits)
    torch.testing.assert_close(met[0][1], plain.last(writes).float())
    torch.testing.assert_close(part.forward(met[0][0].to(subject.dtype)).float(), met[0][1], rtol=1e-3, atol=1e-3)
    with hooked(subject, write=[Edit(writes, EVERYWHERE, nothing, reads=reads)]):
        assert torch.equal(subject.logits(tokens), logits)
    assert hooks_left(subject) == 0


def test_an_edit_cannot_read_what_comes_later(tiny_subject: TextAutoregressive, tokens: Tensor) -> None:
    early = Edit(block(tiny_subject, 0), EVERYWHERE, nothing, reads=block(tiny_subject, 1))
    with pytest.raises(WorkbenchError, match="passes that place later"), hooked(tiny_subject, write=[early]):
        tiny_subject.logits(tokens)
    assert hooks_left(tiny_subject) == 0


def test_half_precision_is_edited_in_float32(tokens: Tensor, family: tuple[str, Any]) -> None:
    import copy

    half = TextAutoregressive(copy.deepcopy(family[1]).to(torch.bfloat16), None, name=family[0])
    given: list[torch.dtype] = []

    def note(x: Tensor, where: Where) -> Tensor:
        given.append(x.dtype)
        return torch.zeros_like(x)

    plain = half.logits(tokens)
    with hooked(half, write=[Edit(block(half, 0), EVERYWHERE, note)]):
        assert torch.equal(plain, half.logits(tokens))
    assert given == [torch.float32]


# -- generation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ["all", "prompt", "generated", (4, 11)])
def test_cached_and_uncached_generation_agree_under_an_edit(
    subject: TextAutoregressive, tokens: Tensor, positions: Any
) -> None:
    point = block(subject, 0)
    push = Edit(point, Selector(positions=positions), constant(scale_of(subject, tokens)))
    plain = subject.generate(tokens, seeds=[1, 2], max_new_tokens=6, stop_at_end=False).tokens
    results = []
    for use_cache in (True, False):
        with hooked(subject, write=[push]):
            made = subject.generate(tokens, seeds=[1, 2], max_new_tokens=6, stop_at_end=False, use_cache=use_cache)
        results.append(made.tokens)
    assert results[0].tolist() == results[1].tolist()
    assert results[0].shape == (2, 15)
    assert results[0].tolist() != plain.tolist()


@pytest.mark.parametrize("use_cache", [True, False])
def test_every_token_of_a_generation_knows_its_place(
    subject: TextAutoregressive, tokens: Tensor, use_cache: bool
) -> None:
    def note(x: Tensor, where: Where) -> tuple[list[int], list[bool]]:
        assert where.positions is not None
        assert where.generated is not None
        assert where.positions.shape == x.shape[:2] == where.generated.shape
        return where.positions[0].tolist(), where.generated[0].tolist()

    point = block(subject, 0)
    with hooked(subject, {point: note}) as tape:
        subject.generate(tokens, seeds=[1, 2], max_new_tokens=3, stop_at_end=False, use_cache=use_cache)
    ends = [9, 10, 11]
    starts = [0, 9, 10] if use_cache else [0, 0, 0]
    spans = [list(range(start, end)) for start, end in zip(starts, ends, strict=True)]
    assert tape[point] == [(span, [position >= 9 for position in span]) for span in spans]


def test_generation_is_the_same_after_an_edit_is_gone(subject: TextAutoregressive, tokens: Tensor) -> None:
    def run() -> list[list[int]]:
        return subject.generate(tokens, seeds=[1, 2], max_new_tokens=4, stop_at_end=False).tokens.tolist()

    plain = run()
    with hooked(subject, write=[Edit(block(subject, 0), EVERYWHERE, constant(50.0))]):
        run()
    assert run() == plain


# -- stopping early and restarting -------------------------------------------------------------------


def test_stopping_early_gives_the_activations_of_the_whole_run(subject: TextAutoregressive, tokens: Tensor) -> None:
    points = [block(subject, 0), inner(subject, "in"), block(subject, 0, "update")]
    with hooked(subject, dict.fromkeys(points, keep)) as whole:
        subject.logits(tokens)
    early = subject.activations(tokens, dict.fromkeys(points, keep))
    assert all(torch.equal(early[point], whole.last(point)) for point in points)


def test_stopping_early_skips_what_comes_after(subject: TextAutoregressive, tokens: Tensor) -> None:
    ran: list[int] = []
    handles = [
        module.register_forward_pre_hook(lambda *_, index=index: ran.append(index))
        for index, module in enumerate(subject.blocks)
    ]
    try:
        subject.activations(tokens, {block(subject, 0): keep})
    finally:
        for handle in handles:
            handle.remove()
    assert ran == [0]
    assert hooks_left(subject) == 0


def test_a_run_restarted_from_an_activation_is_the_whole_run(subject: TextAutoregressive, tokens: Tensor) -> None:
    plain = subject.logits(tokens)
    for index in (0, 1):
        point = block(subject, index)
        x = subject.activations(tokens, {point: keep})[point]
        with subject.restarted(point, x):
            assert torch.equal(plain, subject.logits(tokens))
        push = constant(scale_of(subject, tokens))
        with hooked(subject, write=[Edit(point, EVERYWHERE, push)]):
            edited = subject.logits(tokens)
            with subject.restarted(point, x):
                assert torch.equal(edited, subject.logits(tokens))
    assert torch.equal(plain, subject.logits(tokens))


# -- failures ----------------------------------------------------------------------------------------


def refused(code: str, act: Callable[[], object]) -> WorkbenchError:
    with pytest.raises(WorkbenchError) as caught:
        act()
    assert caught.value.code == code
    return caught.value


def test_a_point_that_never_fired_is_an_error(subject: TextAutoregressive, tokens: Tensor) -> None:
    point = block(subject, 1)

    def unused() -> None:
        with hooked(subject, {point: keep}):
            pass

    def stopped_before() -> None:
        with hooked(subject, write=[Edit(point, EVERYWHERE, nothing)]):
            subject.activations(tokens, {block(subject, 0): keep})

    for act in (unused, stopped_before):
        assert str(point) in refused("hook-never-fired", act).what
    assert hooks_left(subject) == 0


def test_one_silent_point_among_others_is_named(subject: TextAutoregressive, tokens: Tensor) -> None:
    head = HookPoint(path=next(name for name, module in subject.model.named_modules() if _is_head(subject, module)))

    def act() -> None:
        with hooked(subject, {block(subject, 0): keep, head: keep}):
            subject.run(tokens)  # runs the blocks only

    assert refused("hook-never-fired", act).what.startswith(str(head))


def _is_head(subject: TextAutoregressive, module: Any) -> bool:
    return module is subject.model.get_output_embeddings()


@pytest.mark.parametrize("part", ["edit", "reader", "block"])
def test_a_failure_inside_leaves_nothing_behind(subject: TextAutoregressive, tokens: Tensor, part: str) -> None:
    plain = subject.logits(tokens)
    point = block(subject, 0)

    def fail(*_: Any) -> Any:
        raise RuntimeError("on purpose")

    read = {point: fail} if part == "reader" else {}
    write = [Edit(point, EVERYWHERE, fail if part == "edit" else constant(9.0))]

    def act() -> None:
        with hooked(subject, read, write):
            subject.generate(tokens, seeds=[1, 2], max_new_tokens=2)
            fail()

    with pytest.raises(RuntimeError, match="on purpose"):
        act()
    assert hooks_left(subject) == 0
    assert torch.equal(plain, subject.logits(tokens))
    free = threading.Thread(target=lambda: subject.lock.acquire(timeout=5) and subject.lock.release())
    free.start()
    free.join(timeout=2)
    assert not free.is_alive()


def test_an_edit_of_the_wrong_shape_is_an_error_and_leaves_nothing(
    tiny_subject: TextAutoregressive, tokens: Tensor
) -> None:
    def act() -> None:
        with hooked(tiny_subject, write=[Edit(block(tiny_subject, 0), EVERYWHERE, lambda x, where: x[..., :-1])]):
            tiny_subject.logits(tokens)

    with pytest.raises((WorkbenchError, RuntimeError)):
        act()
    assert hooks_left(tiny_subject) == 0


def test_an_unknown_point_names_its_neighbours(subject: TextAutoregressive, tokens: Tensor) -> None:
    path = subject.blocks_path
    wrong = HookPoint(path=f"{path[:-1]}.1")

    def act() -> None:
        with hooked(subject, {block(subject, 0): keep, wrong: keep}):
            subject.run(tokens)

    error = refused("unknown-hook-point", act)
    assert wrong.path in error.why
    assert f"{path}." in error.how
    assert hooks_left(subject) == 0
    assert torch.isfinite(subject.logits(tokens)).all()


def test_a_point_unlike_any_other_is_answered_with_suggestions(tiny_subject: TextAutoregressive) -> None:
    def act() -> None:
        with hooked(tiny_subject, {HookPoint(path="zzz"): keep}):
            pass

    assert str(tiny_subject.layer_point(0)) in refused("unknown-hook-point", act).how


def test_training_mode_is_refused(tiny_subject: TextAutoregressive) -> None:
    def act() -> None:
        with hooked(tiny_subject, {block(tiny_subject, 0): keep}):
            pass

    tiny_subject.root.train()
    try:
        refused("training-mode", act)
    finally:
        tiny_subject.root.eval()
    assert hooks_left(tiny_subject) == 0


def test_recording_stops_at_its_budget(tiny_subject: TextAutoregressive, tokens: Tensor) -> None:
    size = tokens.numel() * tiny_subject.d_model * 4

    def record(budget: int) -> None:
        with hooked(tiny_subject, {block(tiny_subject, 0): keep}, budget_bytes=budget):
            tiny_subject.run(tokens)
            tiny_subject.run(tokens)

    record(2 * size)
    refused("recording-budget", lambda: record(2 * size - 1))
    assert hooks_left(tiny_subject) == 0


# -- threads -----------------------------------------------------------------------------------------


def in_a_thread(act: Callable[[], Any]) -> Any:
    """What `act` returns in a thread of its own."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(act()))
    thread.start()
    thread.join(timeout=60)
    assert not thread.is_alive(), "the thread waits for ever"
    assert found, "the thread failed"
    return found[0]


def test_an_edit_never_touches_a_plain_run_of_another_thread(subject: TextAutoregressive, tokens: Tensor) -> None:
    plain = subject.logits(tokens)
    inside, outside = threading.Event(), threading.Event()
    point = block(subject, 0)
    push = constant(scale_of(subject, tokens))

    def wait_inside(x: Tensor, where: Where) -> Tensor:
        """Holds the edited run in the middle of its forward pass while the plain one goes by."""
        inside.set()
        assert outside.wait(timeout=60)
        return push(x, where)

    edited: list[Tensor] = []

    def steer() -> None:
        with hooked(subject, write=[Edit(point, EVERYWHERE, wait_inside)]) as tape:
            edited.append(subject.logits(tokens))
        assert tape.calls == 1, "the plain run was counted"

    thread = threading.Thread(target=steer)
    thread.start()
    try:
        assert inside.wait(timeout=60)
        beside = in_a_thread(lambda: subject.logits(tokens))
    finally:
        outside.set()
        thread.join(timeout=60)
    assert torch.equal(plain, beside)
    assert not torch.allclose(plain, edited[0], atol=1e-3)


def test_two_edits_in_two_threads_take_turns(subject: TextAutoregressive, tokens: Tensor) -> None:
    scale = scale_of(subject, tokens)

    def steered(size: float) -> Tensor:
        with hooked(subject, write=[Edit(block(subject, 0), EVERYWHERE, constant(size))]):
            return subject.logits(tokens)

    alone = [steered(scale), steered(-scale)]
    together: list[Tensor | None] = [None, None]

    def work(at: int, size: float) -> None:
        together[at] = steered(size)

    threads = [threading.Thread(target=work, args=(at, size)) for at, size in enumerate((scale, -scale))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert all(b is not None and torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_restarted_run_never_touches_a_plain_run_of_another_thread(
    tiny_subject: TextAutoregressive, tokens: Tensor
) -> None:
    plain = tiny_subject.logits(tokens)
    point = block(tiny_subject, 0)
    x = torch.zeros(*tokens.shape, tiny_subject.d_model)
    found: list[Tensor] = []
    beside = threading.Thread(target=lambda: found.append(tiny_subject.logits(tokens)))
    with tiny_subject.restarted(point, x):
        assert not torch.equal(plain, tiny_subject.logits(tokens))
        beside.start()
        beside.join(timeout=1)  # it may run beside, or wait for its turn
    beside.join(timeout=60)
    assert torch.equal(plain, found[0])
