"""Arms on pictures: whose mask, how strongly, in which window, at which point. No model is run."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from probes.addresses import HookPoint, Selector
from probes.hooks import Where
from probes.latents import Directions, LatentTable
from probes.masks import Mask
from steering.picture_bench import elsewhere, latent_change, masked_arm, within

HERE, THERE = HookPoint(path="blocks.0", tap="update"), HookPoint(path="blocks.1", tap="update")
LEFT, RIGHT = Mask.of([[1, 0], [1, 0]]), Mask.of([[0, 1], [0, 1]])


def ones(x: Tensor, where: Where) -> Tensor:
    return torch.ones_like(x)


def test_each_picture_has_its_own_mask_in_every_branch() -> None:
    arm = masked_arm("a", {HERE: [(1.0, ones), (-0.5, ones)]}, [LEFT, RIGHT])
    (edit,) = arm.edits(4.0) if arm.edits else []
    seen = Where(0, branches=("uncond",) * 2 + ("cond",) * 2, items=(0, 1, 0, 1), grid=(2, 4))
    said = edit.change(torch.randn(4, 8, 3), seen)[..., 0].reshape(4, 2, 4)
    left, right = torch.tensor([2.0, 2, 0, 0]), torch.tensor([0.0, 0, 2, 2])
    for row, expected in enumerate((left, right, left, right)):
        assert torch.equal(said[row], expected.expand(2, 4))


def test_a_coarser_grid_gets_the_share_of_a_cell_that_the_mask_covers() -> None:
    arm = masked_arm("a", {HERE: [(1.0, ones)]}, [LEFT])
    (edit,) = arm.edits(1.0) if arm.edits else []
    said = edit.change(torch.randn(1, 3, 2), Where(0, branches=("cond",), items=(0,), grid=(1, 3)))
    assert torch.allclose(said[0, :, 0], torch.tensor([1.0, 0.5, 0.0]))


def test_an_arm_narrowed_or_moved_keeps_everything_else() -> None:
    arm = masked_arm("a", {HERE: [(1.0, ones)]}, where=Selector(rows=(1,)))
    narrow, moved = within(arm, (0.2, 0.4), "both"), elsewhere(arm, {HERE: THERE})
    assert narrow.edits is not None and moved.edits is not None
    (edit,) = narrow.edits(1.0)
    assert edit.where == Selector(rows=(1,), noise=(0.2, 0.4), branch="both") and edit.point == HERE
    (edit,) = moved.edits(1.0)
    assert edit.where == Selector(rows=(1,)) and edit.point == THERE
    x = torch.randn(1, 2, 3)
    assert torch.equal(edit.change(x, Where(0)), torch.ones_like(x))


@pytest.mark.parametrize(("operation", "expected"), [("add", 3.0), ("scale", 5.0)])
def test_an_operation_on_weighted_latents_adds_along_their_directions(operation: str, expected: float) -> None:
    table = LatentTable(("a", "b"), torch.tensor([3.0, 4.0]), torch.tensor([0.5, 0.5]))
    space = Directions(torch.eye(2), table)
    change = latent_change(space, {0: 0.5}, operation)
    said = change(torch.tensor([[[5.0, 7.0]]]), Where(0))
    assert torch.equal(said, torch.tensor([[[0.5 * expected, 0.0]]]))
