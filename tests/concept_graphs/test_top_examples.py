"""The strongest rows of all latents, streamed, are those of a sort of everything at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from concept_graphs.contexts import firings, strongest
from concept_graphs.top_examples import top_examples
from probes.activations.store import ActivationStore
from probes.autoencoders.dictionary import Dictionary, unknown_table
from probes.hierarchy.probe import Level, LevelRecord
from probes.kernels.choice import Choice, kernels_for, prefer
from probes.kernels.strongest import NOBODY, Best, Firings
from tests.fixtures.stores import make_store

LATENTS, COUNT, DOCUMENTS = 7, 4, 6


def drawn(n: int = 400) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(0)
    value = random.permutation(np.arange(1, n + 1)).astype(np.float32)  # all different
    return random.integers(LATENTS, size=n), value, np.arange(n), random.integers(DOCUMENTS, size=n)


def by_sorting(latent: np.ndarray, value: np.ndarray, place: np.ndarray, document: np.ndarray) -> list[list[int]]:
    found = []
    for wanted in range(LATENTS):
        best: dict[int, int] = {}
        for at in sorted(np.flatnonzero(latent == wanted), key=lambda at: -value[at]):
            best.setdefault(int(document[at]), int(place[at]))
        found.append(list(best.values())[:COUNT])
    return found


@pytest.fixture(params=["torch", "compiled"])
def which(request: pytest.FixtureRequest) -> Iterator[Choice]:
    prefer(request.param)
    yield request.param
    prefer("auto")


@pytest.mark.parametrize("part", [1, 7, 150, 400])
def test_streamed_in_parts_is_sorted_at_once(part: int, which: Choice) -> None:
    columns, found = drawn(), Best.none(LATENTS, COUNT)
    for at in range(0, 400, part):
        kernels_for().keep_strongest(Firings(*(column[at : at + part] for column in columns)), found)
    assert [place[place != NOBODY].tolist() for place in found.place] == by_sorting(*columns)
    assert (np.diff(found.value, axis=1) <= 0).all()
    assert all(len(set(row.tolist())) == COUNT for row in found.document)


def test_few_documents_leave_places_empty_and_equal_values_keep_the_first(which: Choice) -> None:
    found = Best.none(3, 3)
    for place in (5, 6):
        given = np.array([1, 1]), np.array([2.0, 2.0]), np.array([place, place + 10]), np.array([0, place])
        kernels_for().keep_strongest(Firings(*given), found)
    assert found.place[1].tolist() == [5, 15, 16]
    assert found.document.tolist() == [[-1] * 3, [0, 5, 6], [-1] * 3]
    assert found.value[0].tolist() == [0, 0, 0]


def test_over_a_store_they_are_those_of_every_latent_asked_for_alone(tmp_path: Path, which: Choice) -> None:
    store = ActivationStore(make_store(tmp_path / "store"))
    rows = torch.nn.functional.normalize(torch.randn(24, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    info = store.index.points[0]
    zeros = torch.zeros(24), torch.zeros(16)
    space = Dictionary(rows, zeros[0], rows, zeros[1], torch.tensor(0.2), 6, unknown_table(24, "low"), info.point)
    level = Level(LevelRecord(name="low", point=info, n_latents=24, rows={"span": 1}, k=4), space, {})
    index = top_examples(store, "train", level, 3)
    found, _ = firings(store, store.shards("train"), level, range(24))
    for latent, best in enumerate(strongest(found, 24, 3)):
        assert index.places(latent) == list(zip(found.chunk[best].tolist(), found.row[best].tolist(), strict=True))
        assert index.best.value[latent].tolist()[: len(best)] == found.value[best].tolist()
