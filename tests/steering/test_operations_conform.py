"""What every operation owes: nothing at strength 0, no order among levers, one sentence."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch

from probes.hooks import hooked, keep
from probes.latents import Codes, LatentTable
from probes.operations import Params
from probes.registry import Registry
from steering.edits import compile_levers
from steering.levers import Lever, OperationParams
from steering.registry import OPERATIONS, READS_PROJECTIONS
from tests.fixtures.registries import check_row, rows_of
from tests.fixtures.worlds import HIGH_POINT, codes_of, true_probe, two_storeys

TABLE = LatentTable(("a", "b", "c"), torch.tensor([2.0, 4.0, 8.0]), torch.ones(3))
ON_TEXT_ONLY = {"patch"}  # copies from a donor text; covered on the language model
IN_WORLD = [name for name in OPERATIONS if name not in ON_TEXT_ONLY]


def lever(operation: str, latent: int, strength: float) -> Lever:
    params = OperationParams(target=11 if operation == "swap" else None, level=0.3)
    return Lever(level="low", weights={latent: 1.0}, operation=operation, strength=strength, params=params)


def steered(levers: list[Lever]) -> torch.Tensor:
    subject = two_storeys(0.5)
    edits, _ = compile_levers(levers, true_probe(subject), subject)
    with hooked(subject, write=edits):
        return subject.activations(codes_of(20, 3, seed=4), {HIGH_POINT: keep})[HIGH_POINT]


@pytest.mark.parametrize(("table", "name"), rows_of(OPERATIONS))
def test_every_row_imports_and_says_what_it_does(table: Registry, name: str) -> None:
    check_row(table, name)
    assert set(table) >= READS_PROJECTIONS
    assert Lever.model_json_schema()["properties"]["operation"]["enum"] == list(table)


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_a_change_is_of_known_latents_row_by_row(name: str) -> None:
    operation = OPERATIONS.load(name)
    index = torch.tensor([[0, 1], [1, 0], [0, 1]])
    z = Codes(index, torch.tensor([[3.0, 0.0], [1.0, 5.0], [0.0, 0.0]]), 3)
    params = Params(level=0.5, target=2, donor=z.scaled(2.0))
    whole = operation(z, TABLE, params).dense()
    assert whole.shape == (3, 3) and torch.isfinite(whole).all()
    for row in range(3):
        one = Codes(index[row : row + 1], z.value[row : row + 1], 3)
        donor = Codes(one.index, one.value * 2, 3)
        alone = operation(one, TABLE, Params(level=0.5, target=2, donor=donor)).dense()
        torch.testing.assert_close(alone[0], whole[row])


@pytest.mark.parametrize("name", IN_WORLD)
def test_strength_zero_is_bit_identical_and_another_is_felt(name: str) -> None:
    plain = steered([])
    assert torch.equal(steered([lever(name, 1, 0.0)]), plain)
    assert not torch.allclose(steered([lever(name, 1, 1.0)]), plain, atol=1e-3)


def test_levers_of_all_operations_commute() -> None:
    levers = [lever(name, 2 * number % 11, 0.7) for number, name in enumerate(IN_WORLD)]
    orders = list(permutations(levers))[:: 120 if len(levers) > 5 else 1][:6]
    results = [steered(list(order)) for order in orders]
    assert len(results) > 3
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-5, atol=1e-6)
