"""Companions on a store whose activations are their own codes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from concept_graphs.companions import companions_of
from probes.activations.rows import RowKind
from probes.activations.store import ActivationStore, DocumentInfo, PointInfo, ShardInfo, StoreIndex
from probes.addresses import HookPoint
from probes.autoencoders.dictionary import Dictionary
from probes.hierarchy.probe import Level, LevelRecord
from probes.latents import LatentTable

N, CHUNKS, CONTEXT = 8, 200, 16
POINT = PointInfo(point=HookPoint(path="layers.0"), d_model=N, fraction=0.5, median_norm=100.0)


def codes(generator: torch.Generator) -> Tensor:
    """Latent 2 is on, half as strong, wherever 1 is; 3 is on half of the time; 0 keeps to itself."""
    z = torch.zeros(CHUNKS, CONTEXT, N)
    leader = torch.rand(CHUNKS, CONTEXT, generator=generator) < 0.05
    z[..., 1], z[..., 2] = 4.0 * leader, 2.0 * leader
    z[..., 3] = 3.0 * (torch.rand(CHUNKS, CONTEXT, generator=generator) < 0.5)
    z[..., 0] = 5.0 * (torch.rand(CHUNKS, CONTEXT, generator=generator) < 0.05)
    return z


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    path: Path = tmp_path_factory.mktemp("planted")
    x = codes(torch.Generator().manual_seed(0))
    tensors = {
        "tokens": torch.full((CHUNKS, CONTEXT), 9, dtype=torch.int32),
        "valid": torch.ones(CHUNKS, CONTEXT, dtype=torch.bool),
        "document": torch.zeros(CHUNKS, dtype=torch.int32),
        "start": torch.zeros(CHUNKS, dtype=torch.int32),
        "x.0": x.half(),
        "norm.0": x.norm(dim=-1),
    }
    save_file(tensors, path / "train.safetensors")
    index = StoreIndex(
        subject="toy",
        corpus="toy",
        context=CONTEXT,
        special_ids=(),
        points=(POINT,),
        shards=(ShardInfo(split="train", file="train.safetensors", chunks=CHUNKS, tokens=CHUNKS * CONTEXT),),
        documents=(DocumentInfo(id="0", split="train"),),
    )
    (path / "index.json").write_text(index.model_dump_json())
    return ActivationStore(path)


def level(typical: list[float]) -> Level:
    table = LatentTable(tuple(map(str, range(N))), torch.tensor(typical), torch.full((N,), 0.05))
    eye, zeros = torch.eye(N), torch.zeros(N)
    space = Dictionary(eye, zeros, eye, zeros, torch.tensor(0.1), N, table, POINT.point)
    record = LevelRecord(name="middle", point=POINT, rows=RowKind(), n_latents=N, k=2)
    return Level(record, space, {})


def test_what_rises_with_a_latent_joins_it_in_proportion(store: ActivationStore) -> None:
    alone, leader = companions_of(store, level([1.0] * N), [0, 1], count=3)
    assert leader[1] == 1.0
    assert leader[2] == pytest.approx(0.5, abs=1e-3)
    assert abs(leader.get(3, 0.0)) < 0.15  # as often there as elsewhere, up to chance
    assert alone[0] == 1.0
    assert max((weight for latent, weight in alone.items() if latent != 0), default=0.0) < 0.1


def test_weights_are_in_typical_activations_and_a_silent_latent_is_alone(store: ActivationStore) -> None:
    leader, silent = companions_of(store, level([1.0, 4.0, 2.0] + [1.0] * (N - 3)), [1, 7], count=1)
    assert leader == {1: 1.0, 2: pytest.approx(1.0, abs=1e-3)}
    assert silent == {7: 1.0}
