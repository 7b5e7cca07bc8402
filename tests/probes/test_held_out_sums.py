"""First letters on words whose absorption is known, and sums by document against the pass over rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from probes.activations.rows import RowKind
from probes.activations.store import ActivationStore, PointInfo
from probes.addresses import HookPoint
from probes.autoencoders.dictionary import Dictionary, unknown_table
from probes.errors import WorkbenchError
from probes.hierarchy.probe import Level, LevelRecord
from probes.latents import LatentEdges
from probes.metrics.by_document import OF_TABLE, by_document
from probes.metrics.first_letter import Words, first_letters
from probes.metrics.reconstruction import held_out_figures
from tests.fixtures.stores import D_MODEL, make_store


def test_sums_by_document_are_those_of_the_pass_over_rows(tmp_path: Path) -> None:
    store = ActivationStore(make_store(tmp_path / "store"))
    info = store.index.points[1]
    rows = torch.nn.functional.normalize(torch.randn(20, D_MODEL, generator=torch.Generator().manual_seed(1)), dim=1)
    space = Dictionary(
        rows, torch.zeros(20), rows, torch.zeros(D_MODEL), torch.tensor(0.3), 6, unknown_table(20, "m"), info.point
    )
    level = Level(LevelRecord(name="middle", point=info, rows=RowKind(), n_latents=20, k=4), space, {})
    whole = by_document(store, level, training_rows=1, max_rows=10**6)
    expected = held_out_figures(store, level)
    for figure in ("explained_variance", "l0"):
        assert OF_TABLE[figure](whole.table()) == pytest.approx(expected[figure], rel=1e-6)
    assert 1 - whole.fired.mean() == pytest.approx(expected["dead"]) and whole.rows.sum() == expected["rows"]
    parts = (OF_TABLE[part](whole.table()) for part in ("residual_bits", "code_bits"))
    assert OF_TABLE["description_length"](whole.table()) == pytest.approx(sum(parts))
    edge = LatentEdges(torch.tensor([0]), torch.tensor([1]), torch.tensor([0.5]))
    linked = replace(level, space=replace(space, inner=edge))
    some = by_document(store, linked, training_rows=10, max_rows=50)
    assert some.rows.tolist() == [50] and OF_TABLE["edge_bits"](some.table()) == pytest.approx(np.log2(20) / 10)


def words(clear: float = 4.0) -> Words:
    """Three letters of eighty words; every twentieth word of the first is special (dimension 3)."""
    draw = torch.Generator().manual_seed(0)
    letter = np.repeat(np.arange(3), 80)
    x = 0.05 * torch.randn(240, 8, generator=draw)
    x[torch.arange(240), torch.from_numpy(letter)] += clear
    for at in (7, 22, 41, 66):
        x[at, 3] += 3.0
    return Words(x, letter, np.arange(240) % 2 == 0)


def a_level(*, absorbs: bool) -> Level:
    """A latent per letter, and one for special words, which takes their first letter over where it `absorbs`."""
    w_enc, w_dec = torch.zeros(4, 8), torch.eye(4, 8)
    w_enc[:3, :3] = torch.eye(3)
    w_enc[3, 3] = 1.0
    if absorbs:
        w_enc[0, 3], w_enc[3, 3] = -2.0, 5 / 3
        w_dec[3] = torch.tensor([0.8, 0, 0, 0.6, 0, 0, 0, 0])
    point = PointInfo(point=HookPoint(path="layers.0"), d_model=8, median_norm=4.0)
    space = Dictionary(w_enc, torch.zeros(4), w_dec, torch.zeros(8), torch.tensor(0.5), None, unknown_table(4, "m"))
    return Level(LevelRecord(name="middle", point=point, rows=RowKind(), n_latents=4, k=1), space, {})


def test_absorbed_first_letters_are_counted_over_words_that_were_not_fitted_on() -> None:
    """Two of the forty scored words of the first letter are absorbed wholly."""
    found = first_letters(words(), a_level(absorbs=True))
    assert found.fraction.tolist() == pytest.approx([2 / 40, 0, 0], abs=2e-3)
    assert found.full.tolist() == pytest.approx([2 / 40, 0, 0])
    assert not first_letters(words(), a_level(absorbs=False)).full.any()


def test_letters_that_no_probe_tells_are_not_counted() -> None:
    with pytest.raises(WorkbenchError, match="no probe tells"):
        first_letters(words(clear=0.0), a_level(absorbs=True))
