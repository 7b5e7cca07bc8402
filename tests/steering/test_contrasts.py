"""What captions make of a level, picture by picture, against the store's own rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from probes.activations.rows import RowKind
from probes.activations.store import ActivationStore
from probes.addresses import HookPoint, Selector
from probes.autoencoders.dictionary import Dictionary
from probes.hierarchy.probe import Level, LevelRecord
from probes.latents import LatentTable
from steering.contrasts import picture_means
from tests.fixtures.image_stores import BANDS, FINE, image_store

N = 12


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ActivationStore:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    return ActivationStore(image_store(tmp_path, images=2, points=[FINE]))


def level_of(store: ActivationStore, noise: tuple[float, float]) -> Level:
    point = HookPoint.parse(FINE)
    info = store.info(point)
    rows = torch.randn(N, info.d_model, generator=torch.Generator().manual_seed(0))
    rows = rows / rows.norm(dim=1, keepdim=True)
    table = LatentTable(tuple(map(str, range(N))), torch.ones(N), torch.ones(N))
    zeros = torch.zeros(N), torch.zeros(info.d_model)
    space = Dictionary(rows, zeros[0], rows, zeros[1], torch.zeros(N), None, table, point)
    record = LevelRecord(name="low", point=info, rows=RowKind(of="cell"), where=Selector(noise=noise), n_latents=N, k=3)
    return Level(record, space, {})


@pytest.mark.parametrize("noise", [BANDS[0], (0.0, 1.0)])
def test_each_picture_has_the_means_of_its_own_rows_in_the_band(
    store: ActivationStore, noise: tuple[float, float]
) -> None:
    level = level_of(store, noise)
    found = picture_means(store, level)
    codes, rows, said = [], [], []
    for shard in range(len(store.index.shards)):
        x = store.activations(shard, level.record.point.point).float()
        image, at = store.read(shard, "image", "noise")
        document, _ = store.documents_of(shard)
        for number in image.unique_consecutive():  # in the order of the store
            mine = (image == number) & (at >= noise[0]) & (at <= noise[1])
            assert mine.any()
            codes.append(level.space.encode(x[mine].flatten(0, 1)).dense().mean(dim=0))
            rows.append(x[mine].flatten(0, 1).mean(dim=0))
            said.append(store.index.documents[int(document[image == number][0])].labels["prompt"])
    assert found.codes.shape == (len(said), N) and len(said) == 24
    assert np.allclose(found.codes, torch.stack(codes).numpy(), atol=1e-5)
    assert np.allclose(found.activations, torch.stack(rows).numpy(), atol=1e-5)
    assert [labels["prompt"] for labels in found.labels] == said
    assert found.where("prompt", said[0]).sum() == 2
