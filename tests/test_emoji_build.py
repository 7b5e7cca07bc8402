"""How the emoji networks are trained: updates are orthogonal, and a stopped training loses nothing."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from probes.provenance import ROOT


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The build's modules, which import each other by their bare names."""
    monkeypatch.syspath_prepend(str(ROOT / "assets" / "emoji"))
    return importlib.import_module("loop"), importlib.import_module("muon")


@pytest.mark.parametrize("shape", [(24, 24), (12, 90), (90, 12)])
def test_an_update_has_singular_values_near_one_and_the_matrix_own_directions(
    parts: Any, shape: tuple[int, int]
) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    found = torch.diag(left.T @ parts[1].orthogonal(matrix) @ right.T)
    strong = values > 0.05 * values[0]
    assert found[strong].min() > 0.6 and found[strong].max() < 1.3


def test_matrices_and_vectors_are_parted_and_embeddings_count_as_vectors(parts: Any) -> None:
    model = nn.ModuleDict({"words": nn.Embedding(5, 4), "linear": nn.Linear(4, 3), "conv": nn.Conv2d(3, 2, 3)})
    matrices, vectors = parts[1].parted([model])
    assert {id(one) for one in matrices} == {id(model["linear"].weight), id(model["conv"].weight)}
    assert len(matrices) + len(vectors) == len(list(model.parameters()))


def test_a_stopped_training_goes_on_to_the_same_weights(parts: Any, tmp_path: Path) -> None:
    loop = parts[0]

    def trained(folder: str, stop_at: int | None) -> Tensor:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.SiLU(), nn.Linear(8, 1))
        calls = 0

        def loss(generator: torch.Generator) -> dict[str, Tensor]:
            nonlocal calls
            calls += 1
            if stop_at is not None and calls > loop.THREADS * stop_at:
                raise InterruptedError
            x = torch.randn(16, 6, generator=generator)
            return {"error": (model(x)[:, 0] - x.sum(1)).square().mean()}

        plan = loop.Plan(steps=8, save_every_s=0)
        return torch.cat(
            [one.flatten() for one in loop.train({"m": model}, loss, plan, tmp_path / folder)["m"].parameters()]
        )

    whole = trained("whole", None)
    with pytest.raises(InterruptedError):
        trained("stopped", 5)
    assert torch.equal(trained("stopped", None), whole)
