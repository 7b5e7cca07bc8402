"""Statistics per latent against a dense recount, the life of a latent, and agreement of seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from probes.activations.rows import RowKind
from probes.activations.store import ActivationStore
from probes.autoencoders.dictionary import Dictionary, unknown_table
from probes.autoencoders.fitting import new_autoencoder
from probes.backends.causal_minimality import work
from probes.backends.minimality_config import Config
from probes.errors import WorkbenchError
from probes.hierarchy.measure_level import compared
from probes.hierarchy.measured import QUANTILES, STATISTICS
from probes.hierarchy.probe import Level, LevelRecord, Probe, ProbeRecord, open_probe, save_probe
from probes.hierarchy.statistics import latent_statistics, training_history
from probes.hierarchy.train_level import LevelConfig
from probes.metrics.seed_agreement import nearest_rows, seed_agreement
from probes.runs import Run
from tests.fixtures.stores import D_MODEL, make_store

N = 20


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    return ActivationStore(make_store(tmp_path_factory.mktemp("statistics") / "store"))


def a_level(store: ActivationStore, span: int = 1) -> Level:
    """An untrained dictionary; its last latent can never fire."""
    info = store.index.points[1]
    draw = torch.Generator().manual_seed(5)
    rows = torch.nn.functional.normalize(torch.randn(N, D_MODEL, generator=draw), dim=1)
    threshold = torch.full((N,), 0.3)
    threshold[-1] = 1e6
    space = Dictionary(
        rows, torch.zeros(N), rows, torch.zeros(D_MODEL), threshold, 6, unknown_table(N, "m"), info.point
    )
    record = LevelRecord(name="middle", point=info, rows=RowKind(span=span), n_latents=N, k=4)
    return Level(record, space, {})


def test_statistics_are_those_of_a_dense_recount(store: ActivationStore) -> None:
    level = a_level(store)
    found = latent_statistics(store, "train", level)
    point = level.record.point.point
    dense = torch.cat(
        [
            level.space.encode(store.activations(shard, point)[store.usable(shard, point)].float()).dense()
            for shard in store.shards("train")
        ]
    ).numpy()
    for latent in range(N - 1):
        active = np.sort(dense[dense[:, latent] > 0, latent])
        assert found["frequency"][latent] == pytest.approx(len(active) / len(dense))
        assert found["mean_active"][latent] == pytest.approx(active.mean(), rel=1e-5)
        assert found["largest"][latent] == pytest.approx(active[-1])
        lower = np.quantile(active, QUANTILES, method="lower")
        np.testing.assert_allclose(found["quantiles"][latent].numpy(), lower, rtol=1e-6)
        assert found["typical"][latent] == found["quantiles"][latent][-1]
        counts, _ = np.histogram(active, bins=16, range=(0, active[-1]))
        assert np.abs(found["histogram"][latent].numpy() - counts).sum() <= 2  # rounding at an edge of two bins
        assert found["histogram"][latent].sum() == len(active)
    assert all(not found[name][-1].any() for name in found)


def test_what_was_measured_of_latents_is_kept_and_what_was_not_is_absent(store: ActivationStore) -> None:
    level = a_level(store)
    statistics = latent_statistics(store, "train", level)
    level = replace(level, statistics=statistics)
    probe = Probe(ProbeRecord(subject="toy", store="", levels=(level.record,)), (level,), ())
    target = store.path.parent / "probe"
    save_probe(probe, target, name="probe", command="", parents={}, figures={})
    again = open_probe(target).level("middle")
    assert again.statistics.keys() == STATISTICS.keys() - {"silent", "revived", "seed_agreement", "profile"}
    for name, found in again.statistics.items():
        assert found.shape == (N, *STATISTICS[name]) and torch.equal(found, statistics[name])
    assert torch.equal(again.space.w_dec, level.space.w_dec)


def test_training_remembers_who_came_back_to_life() -> None:
    """Latent 0 is dead and fires at the third step, is silent for long, and fires again: revived twice."""
    model = new_autoencoder(LevelConfig(n_latents=8, k=1, dead_after=20), 4, seed=0)
    with torch.no_grad():
        model.w_enc.zero_()
        model.w_enc[0, 0] = model.w_enc[1, 1] = 1.0
    fires, rests = torch.zeros(10, 4), torch.zeros(10, 4)
    fires[:, 0] = 1.0
    rests[:, 1] = 1.0
    for x in (rests, rests, fires, rests, fires, rests, rests, rests, fires):
        model.represent({"x": x})
        model.after_step()
    found = training_history(model.state_dict())
    assert found["revived"].tolist() == [2, 0, 0, 0, 0, 0, 0, 0]
    assert found["silent"].tolist()[:3] == [0, 10, 90]


def test_agreement_is_one_for_the_same_latents_in_another_order_and_chance_for_others() -> None:
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(64, 128, generator=draw)
    order = torch.randperm(64, generator=draw)
    cosine, which = nearest_rows(rows, 3 * rows[order])
    torch.testing.assert_close(cosine, torch.ones(64))
    assert torch.equal(order[which], torch.arange(64))
    same, strange = seed_agreement([rows, rows[order]]), seed_agreement([rows, torch.randn(64, 128, generator=draw)])
    torch.testing.assert_close(same[0], torch.ones(64))
    assert 0.1 < float(strange[0].mean()) < 0.4
    both = seed_agreement([rows, rows[order], torch.randn(64, 128, generator=draw)])
    assert float(strange[0].mean()) < float(both[0].mean()) < 1


def test_a_second_seed_is_one_flag_and_tells_each_latents_best_match(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    make_store(tmp_path / "stores" / "toy")

    def trained(name: str, **values: Any) -> Probe:
        small = {"n_latents": 32, "k": 3, "optimiser": {"steps": 20, "batch": 96}}
        levels = {level: {**small, "depth": depth} for level, depth in (("low", 0.2), ("middle", 0.5), ("high", 0.8))}
        levels["high"]["span"] = 4
        gates = {"rows": 2000, "minimum_rows": 5, "candidates": 8, "optimiser": {"steps": 4, "batch": 96}}
        config = Config.model_validate({"name": name, "store": "toy", **levels, "maps": gates, **values})
        return open_probe(work(config, Run.create("train", name, config, command="")) or "")

    first, second = trained("first"), trained("second", seed=1, beside="first")
    for level in second.levels:
        expected = nearest_rows(level.space.w_dec, first.level(level.name).space.w_dec)[0]
        assert torch.equal(level.statistics["seed_agreement"], expected)
        assert level.record.figures["seed_agreement"] == pytest.approx(float(expected.mean()))
        assert 0.3 < float(expected.mean()) < 0.999
        assert "seed_agreement" not in first.level(level.name).record.figures
    with pytest.raises(WorkbenchError, match="no counterpart"):
        compared(second.level("low"), first.level("high"))
