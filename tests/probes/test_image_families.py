"""Pipelines of seven families under the hook contract: bit for bit, by step, branch and cell."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from probes.hooks import Edit, Selector, Where, hooked, keep
from probes.masks import Mask
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.passing import as_places
from tests.fixtures.picture_edits import (
    BOTH,
    both_told,
    edited_at,
    hooks_left,
    images,
    left_behind,
    nothing,
    push,
    told,
)
from tests.fixtures.pipelines import Family, prompted, stable_diffusion, subject_of


def test_runs_recordings_and_edits_of_nothing_are_bit_identical(
    pipeline_family: tuple[ImageDiffusion, Family],
) -> None:
    subject, family = pipeline_family
    points = subject.known_points()
    plain = images(subject, family)
    assert plain.dtype == torch.float32 and 0 <= float(plain.min()) < float(plain.max()) <= 1
    assert torch.equal(images(subject, family), plain)
    with hooked(subject, dict.fromkeys(points, keep)):
        assert torch.equal(images(subject, family), plain)
    with hooked(subject, write=[Edit(point, BOTH, nothing) for point in points]) as tape:
        assert torch.equal(images(subject, family), plain)
    assert all(tape.edited_places.values())
    with hooked(subject, write=[Edit(points[0], BOTH, push)]):
        assert not torch.equal(images(subject, family), plain)
    assert torch.equal(images(subject, family), plain)
    assert hooks_left(subject) == 0 and not left_behind(subject)


def test_rows_noise_and_grid_of_every_family(pipeline_family: tuple[ImageDiffusion, Family]) -> None:
    subject, family = pipeline_family
    point = subject.known_points()[0]
    calls = subject.activations(family.inputs(), {point: told})[point]
    branches = [where.branches for where in calls]
    assert all(where.grid == family.grid for where in calls)
    assert all(where.items == (0, 1) * (len(where.branches) // 2) for where in calls)
    if subject.name == "wan":
        assert branches == [("cond", "cond"), ("uncond", "uncond")] * 4
        calls = calls[::2]
    else:
        assert branches == [family.branches] * 4
    noise = [where.noise for where in calls]
    assert [where.step for where in calls] == [0, 1, 2, 3]
    assert noise == sorted(noise, reverse=True) and 0 <= noise[-1] < 0.3 and 0.7 < noise[0] <= 1


def test_an_edit_from_a_noise_on_changes_nothing_before_it(pipeline_family: tuple[ImageDiffusion, Family]) -> None:
    subject, family = pipeline_family
    first, last = subject.known_points()[0], subject.known_points()[-1]
    plain = subject.activations(family.inputs(), {first: both_told, last: keep})
    at_two = next(where.noise for where, _ in plain[first] if where.step == 2)
    with hooked(subject, {first: both_told, last: keep}, [Edit(first, Selector(noise=(0, at_two)), push)]) as tape:
        subject.run(family.inputs())
    steps = [where.step for where, _ in plain[first]]
    before = [torch.equal(a, b) for (_, a), (_, b) in zip(plain[first], tape[first], strict=True)]
    after = [torch.equal(a, b) for a, b in zip(plain[last], tape[last], strict=True)]
    assert before == [step <= 2 for step in steps]  # at step 2 the reader still sees the unedited activation
    edited = [step >= 2 and "cond" in where.branches for step, (where, _) in zip(steps, plain[first], strict=True)]
    reached = [step > 2 or hit for step, hit in zip(steps, edited, strict=True)]
    assert after == [not hit for hit in reached]


def test_an_edit_of_one_branch_leaves_the_rows_of_the_other(pipeline_family: tuple[ImageDiffusion, Family]) -> None:
    subject, family = pipeline_family
    point = subject.known_points()[0]
    after = edited_at(point)
    inputs = family.inputs()
    plain = subject.activations(inputs, {after: both_told})[after]
    for branch in ("cond", "uncond"):
        with hooked(subject, write=[Edit(point, Selector(branch=branch), push)]) as tape:  # type: ignore[arg-type]
            seen = subject.activations(inputs, {after: both_told})[after]
        for (where, x), (_, y) in list(zip(plain, seen, strict=True))[: len({*family.branches, "uncond"})]:
            if where.step == 0:
                moved = [not torch.equal(a, b) for a, b in zip(x, y, strict=True)]
                assert moved == [name == branch for name in where.branches]
        guided = subject.name == "wan" or "uncond" in family.branches
        assert (tape.edited_places[point] > 0) == (branch == "cond" or guided)


def test_a_mask_is_exact_cell_by_cell_and_row_by_row(pipeline_family: tuple[ImageDiffusion, Family]) -> None:
    subject, family = pipeline_family
    point = subject.known_points()[0]
    after, inputs = edited_at(point), family.inputs()
    weights = torch.linspace(0, 1, family.grid[0] * family.grid[1]).reshape(family.grid)
    weights[:, -1] = 0
    mask = Mask.of(weights)
    plain = subject.activations(inputs, {after: both_told})[after]
    chosen = Selector(cells=mask, rows=(1,), branch="both")
    with hooked(subject, write=[Edit(point, chosen, push)]):
        seen = subject.activations(inputs, {after: both_told})[after]
    where, x = plain[0]
    y = seen[0][1]
    each = mask.weights(family.grid).flatten().repeat(x.shape[1] // weights.numel())
    for row, item in enumerate(where.items):
        if item == 0:
            assert torch.equal(x[row], y[row])
        else:
            assert torch.equal((x[row] != y[row]).any(-1), each > 0)
            assert torch.equal(y[row], x[row] + push(x[row], where) * each[:, None])


def test_the_order_of_known_points_is_that_of_the_computation(
    pipeline_family: tuple[ImageDiffusion, Family],
) -> None:
    subject, family = pipeline_family
    ran: list[str] = []
    note: Callable[[str], Callable[..., None]] = lambda path: lambda *_: ran.append(path)  # noqa: E731
    handles = [subject.points.module(p).register_forward_hook(note(p.path)) for p in subject.known_points()]
    try:
        subject.sampled(family.inputs(), until=1)
    finally:
        for handle in handles:
            handle.remove()
    known = [point.path for point in subject.known_points()]
    assert ran[: len(known)] == known
    fractions = [subject.fraction_of(point) for point in subject.known_points()]
    assert fractions == sorted(fractions) and 0 < fractions[0] < fractions[-1] < 1
    assert as_places(torch.zeros(1, 2, 3, 4, 5))[0].shape == (1, 60, 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_pipelines_keep_the_contract(dtype: torch.dtype) -> None:
    subject = subject_of(lambda: stable_diffusion().to(dtype))
    inputs = prompted("a dot", seeds=(1,), steps=2)
    plain, given = subject.generate(inputs).images, []

    def note(x: Tensor, where: Where) -> Tensor:
        given.append(x.dtype)
        return torch.zeros_like(x)

    assert plain.dtype == torch.float32
    with hooked(subject, write=[Edit(point, BOTH, note) for point in subject.known_points()]):
        assert torch.equal(subject.generate(inputs).images, plain)
    assert set(given) == {torch.float32}
