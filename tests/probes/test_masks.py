"""Masks and selectors that name cells: forms, exact areas, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from probes.addresses import Selector, parse_address
from probes.errors import WorkbenchError
from probes.hooks import Where
from probes.masks import Mask

EVERY_CELL = Mask.of([[1.0]])


def drawn(rows: int, columns: int) -> Tensor:
    """Weights that are whole steps of 1/255, so that nothing is rounded."""
    return torch.randint(0, 256, (rows, columns), generator=torch.Generator().manual_seed(rows)).float() / 255


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (64, 40), (512, 512)])
def test_the_string_and_json_forms_give_the_mask_again(size: tuple[int, int]) -> None:
    mask = Mask.of(drawn(*size))
    assert Mask.parse(str(mask)) == mask == Mask.model_validate_json(mask.model_dump_json())
    selector = Selector(cells=mask, noise=(0.25, 0.5), branch="both")
    assert Selector.parse(str(selector)) == selector == Selector.model_validate(json.loads(selector.model_dump_json()))
    assert parse_address(f"up.1:update@{selector}")[1].cells == mask
    torch.testing.assert_close(mask.weights(size), drawn(*size))


@pytest.mark.parametrize(("size", "grid"), [((6, 4), (3, 2)), ((4, 6), (4, 6)), ((2, 3), (8, 6)), ((5, 7), (3, 4))])
def test_a_cell_weighs_as_much_as_the_area_it_covers(size: tuple[int, int], grid: tuple[int, int]) -> None:
    own = drawn(*size)
    fine = own.repeat_interleave(grid[0], 0).repeat_interleave(grid[1], 1)  # divides evenly into both grids
    expected = fine.reshape(grid[0], size[0], grid[1], size[1]).mean(dim=(1, 3))
    torch.testing.assert_close(Mask.of(own).weights(grid), expected)


@pytest.mark.parametrize("grid", [(1, 1), (3, 7), (16, 9), (64, 64)])
def test_a_full_mask_weighs_exactly_one_everywhere(grid: tuple[int, int]) -> None:
    assert torch.equal(Mask.of(torch.ones(5, 3)).weights(grid), torch.ones(grid))


def test_a_box_covers_its_share_of_the_picture() -> None:
    weights = Mask.box(0.25, 0.0, 1.0, 0.5).weights((4, 2))
    assert weights.tolist() == [[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    assert abs(float(Mask.box(0.1, 0.2, 0.8, 0.9).weights((1, 1))) - 0.49) < 1 / 255


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([[0.0, 0.0]], "empty"),
        ([[0.1, 1.5]], "between 0 and 1"),
        ([[0.5, float("nan")]], "between 0 and 1"),
        ([[1.0], [1.0, 0.5]], "equal length"),
        ([], "equal length"),
        ([1.0, 0.5], "equal length"),
        ([[1.0] * 2049], "2048"),
    ],
)
def test_what_is_no_mask_is_refused_in_a_sentence(rows: list[list[float]], why: str) -> None:
    with pytest.raises(WorkbenchError, match=why):
        Mask.of(rows)


@pytest.mark.parametrize(
    "text", ["", "4x4", "4x4:!!", "4x4:AAAA", "0x4:eNpjAAAAAQAB", "3x3:" + str(EVERY_CELL).partition(":")[2]]
)
def test_damaged_masks_are_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(WorkbenchError, match="mask"):
        Mask.parse(text)
    with pytest.raises(WorkbenchError):
        Selector.parse(f"cells={text}")


def test_a_bomb_is_read_no_further_than_the_size_it_claims() -> None:
    big = Mask.of(torch.ones(1024, 1024))
    with pytest.raises(WorkbenchError, match="does not hold 2 x 2"):
        Mask.parse(f"2x2:{big.data}")


@pytest.mark.parametrize("noise", ["0.2-1.5", "2-3"])
def test_noise_outside_its_interval_is_refused(noise: str) -> None:
    with pytest.raises(WorkbenchError, match="noise"):
        Selector.parse(f"noise={noise}")


def test_a_mask_where_there_are_no_cells_is_refused() -> None:
    x = torch.zeros(2, 5, 3)
    with pytest.raises(WorkbenchError, match="no grid of cells"):
        Where(0).placed(x, x.shape).selected(Selector(cells=EVERY_CELL), x.shape, x.device)


@pytest.mark.parametrize(
    ("canvas", "shape", "grid"),
    [
        ((1, 8, 16), (2, 128, 4), (8, 16)),
        ((1, 8, 16), (2, 32, 4), (4, 8)),
        ((1, 9, 13), (2, 35, 4), (5, 7)),  # a halved odd size is rounded up, as strided convolutions do
        ((3, 8, 12), (2, 72, 4), (4, 6)),  # a video: three frames of 24 cells
        ((1, 8, 16), (2, 77, 4), None),  # words
        ((1, 8, 16), (2, 4), None),  # one vector per row
        (None, (2, 4, 5, 7), (5, 7)),
        (None, (2, 4, 3, 5, 7), (5, 7)),
    ],
)
def test_the_grid_of_an_activation(
    canvas: tuple[int, int, int] | None, shape: tuple[int, ...], grid: tuple[int, int] | None
) -> None:
    from probes.subjects.passing import as_places

    placed, back = as_places(torch.randn(shape))
    assert Where(0, canvas=canvas).placed(placed, shape).grid == grid
    assert back(placed).shape == shape


def test_every_frame_of_a_video_gets_the_same_mask() -> None:
    where = Where(0, canvas=(3, 4, 6)).placed(torch.zeros(2, 72, 1), (2, 72, 1))
    weights = where.weights(Selector(cells=Mask.box(0, 0, 0.5, 1)), (2, 72), torch.device("cpu"))
    assert weights is not None
    assert weights.reshape(3, 4, 6).sum(dim=(1, 2)).tolist() == [12, 12, 12]


def test_rows_and_branches_of_frames_follow_those_of_the_call() -> None:
    where = Where(0, branches=("uncond", "cond"), items=(0, 0))
    chosen = where.selected(Selector(branch="cond"), (6, 2), torch.device("cpu"))
    assert chosen[:, 0].tolist() == [False] * 3 + [True] * 3
    with pytest.raises(WorkbenchError, match="cannot be divided"):
        where.selected(Selector(branch="cond"), (5, 2), torch.device("cpu"))
