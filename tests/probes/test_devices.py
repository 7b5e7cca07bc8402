"""What is configured for a device runs there. `meta` stands for a GPU: it refuses to mix with the CPU as one does."""

from __future__ import annotations

import pytest
import torch

from probes.activations.store import ActivationStore
from probes.autoencoders.registry import AUTOENCODERS
from probes.backends.minimality_config import Config
from probes.backends.minimality_stages import stage_of
from probes.devices import batches_on, device_named
from probes.errors import WorkbenchError
from probes.kernels import plain
from probes.kernels.choice import kernels_for
from probes.subjects.loading import load_subject
from tests.fixtures.stores import make_store

META = torch.device("meta")
OF_ONE_PLACE = [
    name for name in AUTOENCODERS if (row := AUTOENCODERS.load(name)).reads == {"x"} and not row.several_sites
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    return ActivationStore(make_store(tmp_path_factory.mktemp("devices") / "store"))


def test_a_device_is_named_or_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_named("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_named("auto").type == "cpu"
    for asked in (lambda: device_named("cuda"), lambda: load_subject("bundled/smollm2-135m", device="cuda")):
        with pytest.raises(WorkbenchError, match="There is no device 'cuda' here"):
            asked()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_named("auto").type == device_named("cuda").type == "cuda"


@pytest.mark.parametrize("kind", OF_ONE_PLACE)
def test_a_dictionary_and_its_batches_are_on_the_device(store: ActivationStore, kind: str) -> None:
    level = {"depth": 0.2, "n_latents": 32, "k": 3, "autoencoder": {"kind": kind}, "optimiser": {"batch": 64}}
    config = Config.model_validate({"name": "on-device", "store": "toy", "low": level})
    stage = stage_of(config, store, "low").on(META)
    batch, state = stage.batch_at(0), stage.objective.module().state_dict()
    assert all(part.device == META for part in (*batch.values(), *state.values()))
    assert kernels_for(*state.values()) is plain, "compiled loops are for the CPU"


def test_moving_a_batch_changes_nothing_else(store: ActivationStore) -> None:
    kept = {"x": torch.arange(6.0)}
    moved = batches_on(torch.device("cpu"), lambda step: kept)(0)
    assert moved.keys() == kept.keys() and torch.equal(moved["x"], kept["x"])
