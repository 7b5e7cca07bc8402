"""The maps inside a hierarchical dictionary come back with the probe, as edges of its latent space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from probes.activations.store import ActivationStore
from probes.hierarchy.measure_level import measured_level
from probes.hierarchy.probe import Probe, ProbeRecord, open_probe, save_probe
from probes.hierarchy.selection_map import keep_rule
from probes.hierarchy.train_level import LevelConfig, level_objective, rows_for
from probes.latents import Directions, LatentEdges, LatentSpace, LatentTable
from probes.training.loop import OptimiserConfig, Progress, train
from tests.fixtures.stores import make_store

QUIET = Progress(lambda *_: None, lambda: False, lambda *_: None)


def saved(folder: Path, kind: str) -> tuple[object, Probe]:
    """The trained module, and the probe of one level that it became, opened again."""
    store = ActivationStore(make_store(folder / "store"))
    optimiser = OptimiserConfig(steps=60, batch=96, learning_rate=1e-2)
    config = LevelConfig(autoencoder=kind, n_latents=64, k=4, dead_after=500, optimiser=optimiser)
    rows = rows_for(store, config, seed=0)
    objective = level_objective(rows, config, seed=0)
    train(objective, rows.batch_at, optimiser, QUIET)
    state = {name: part.detach() for name, part in objective.module().state_dict().items()}
    level = measured_level(store, "middle", config, state)
    probe = Probe(ProbeRecord(subject="toy", store="store", levels=(level.record,)), (level,), ())
    save_probe(probe, folder / "probe", name="probe", command="", parents={}, figures={})
    return objective.representation, open_probe(folder / "probe")


def test_the_edges_of_a_hierarchical_dictionary_survive_saving(tmp_path: Path) -> None:
    """They are those the maps keep, numbered in the whole dictionary, from a wider block to the one before it."""
    module, probe = saved(tmp_path, "hierarchical")
    space: LatentSpace = probe.level("middle").space
    found = space.edges()
    wanted = {}
    for low, high, weights in module.inner_maps():  # type: ignore[attr-defined]
        for source, target in (keep_rule(weights.T).T).nonzero().tolist():
            wanted[source + low.start, target + high.start] = float(weights[source, target])
    pairs = zip(found.source.tolist(), found.target.tolist(), strict=True)
    assert wanted and dict(zip(pairs, found.weight.tolist(), strict=True)) == pytest.approx(wanted)
    ends = (2, 8, 64)
    blocks = torch.bucketize(torch.stack([found.source, found.target]), torch.tensor(ends), right=True)
    assert torch.equal(blocks[0], blocks[1] + 1)


def test_calibrating_and_measuring_keep_the_edges_and_others_have_none(tmp_path: Path) -> None:
    _, probe = saved(tmp_path, "topk")
    space = probe.level("middle").space
    assert not len(space.edges().source) and not any(name.startswith("inner") for name in space.tensors())
    edges = LatentEdges(torch.tensor([3]), torch.tensor([0]), torch.tensor([0.5]))
    linked = replace(space, inner=edges).calibrated(torch.randn(64, 16), 4).with_table(space.table)
    assert linked.edges() is edges
    directions = Directions(torch.eye(3), LatentTable(("a", "b", "c"), torch.ones(3), torch.ones(3)))
    assert not len(directions.edges().weight)
