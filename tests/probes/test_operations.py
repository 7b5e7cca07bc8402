"""Operations give the change at strength 1, in the units they promise."""

from __future__ import annotations

import pytest
import torch

from probes import operations
from probes.latents import Codes, Directions, LatentTable
from probes.operations import Params

TABLE = LatentTable(("a", "b", "c"), torch.tensor([2.0, 4.0, 8.0]), torch.tensor([0.1, 0.1, 0.1]))
Z = Codes(torch.tensor([[0, 1]]), torch.tensor([[3.0, 0.0]]), 3)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (operations.add(Z, TABLE, Params()), [2.0, 4.0, 0.0]),
        (operations.scale(Z, TABLE, Params()), [3.0, 0.0, 0.0]),
        (operations.set_to(Z, TABLE, Params(level=2.0)), [1.0, 8.0, 0.0]),
        (operations.cap(Z, TABLE, Params(level=1.0)), [-1.0, 0.0, 0.0]),
        (operations.project(Z, TABLE, Params()), [-3.0, 0.0, 0.0]),
        (operations.swap(Z, TABLE, Params(target=2)), [-3.0, 0.0, 12.0]),
        (
            operations.patch(Z, TABLE, Params(donor=Codes(Z.index, torch.tensor([[5.0, 1.0]]), 3))),
            [2.0, 1.0, 0.0],
        ),
    ],
    ids=["add", "scale", "set", "cap", "project", "swap", "patch"],
)
def test_change_at_strength_one(change: Codes, expected: list[float]) -> None:
    torch.testing.assert_close(change.dense()[0], torch.tensor(expected))


def test_projecting_out_a_direction_leaves_none_of_it() -> None:
    rows = torch.nn.functional.normalize(torch.randn(3, 6), dim=1)
    space = Directions(rows, TABLE)
    x = torch.randn(5, 6)
    dz = operations.project(space.encode(x, [1]), TABLE, Params())
    left = x + space.change(dz)
    assert (left @ rows[1]).abs().max() < 1e-5


def test_codes_to_scipy_and_back() -> None:
    value = torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])
    codes = Codes(torch.tensor([[4, 1, 0], [2, 3, 1]]), value, 6)
    assert codes.csr().toarray().tolist() == codes.dense().tolist()
    assert codes.l0().tolist() == [2, 1]
    assert codes.only([0, 5]).value.tolist() == [[2.0, 0.0], [0.0, 0.0]]
