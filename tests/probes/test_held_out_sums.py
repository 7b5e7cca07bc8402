"""First letters on words whose absorption is known, and sums by document against the pass over rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from probes.activations.rows import RowKind
from probes.activations.store import ActivationStore, PointInfo
from probes.addresses import HookPoint
from probes.autoencoders.dictionary import Dictionary, unknown_table
from probes.errors import WorkbenchError
from probes.hierarchy.probe import Level, LevelRecord
from probes.latents import LatentEdges
from probes.metrics.by_document import OF_TABLE, by_document
from probes.metrics.description_length import as_lengths
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


def powers_of_two(kind: str) -> torch.Tensor:
    """Factors of twenty codes, which floats take without rounding."""
    if kind == "each its own":
        return 2.0 ** torch.randint(-12, 13, (20,), generator=torch.Generator().manual_seed(3)).float()
    return torch.full((20,), {"small": 2.0**-10, "none": 1.0, "large": 2.0**10}[kind])


@pytest.mark.parametrize("rows", [RowKind(), RowKind(span=4)], ids=str)
@pytest.mark.parametrize("kind", ["small", "large", "each its own"])
def test_bits_do_not_depend_on_the_unit_of_the_codes(tmp_path: Path, rows: RowKind, kind: str) -> None:
    """Codes times c and decoder rows through c say the same, whatever a row of the level is."""
    store = ActivationStore(make_store(tmp_path / "store"))
    info = store.index.points[1]
    draw = torch.Generator().manual_seed(1)
    unit = torch.nn.functional.normalize(torch.randn(20, D_MODEL, generator=draw), dim=1)
    free = unit * torch.linspace(0.2, 4, 20)[:, None]
    c = powers_of_two(kind)

    def table(w_enc: torch.Tensor, w_dec: torch.Tensor, threshold: torch.Tensor) -> np.ndarray:
        space = Dictionary(
            w_enc, torch.zeros(20), w_dec, torch.zeros(D_MODEL), threshold, None, unknown_table(20, "m"), info.point
        )
        level = Level(LevelRecord(name="middle", point=info, rows=rows, n_latents=20, k=4), space, {})
        return by_document(store, level, training_rows=1, max_rows=10**6).table()

    for w_enc, w_dec in ((unit, unit), (unit, free)):
        theirs = table(w_enc, w_dec, torch.full((20,), 0.3))
        ours = table(w_enc * c[:, None], w_dec / c[:, None], 0.3 * c)
        np.testing.assert_allclose(ours, theirs, rtol=2e-4)  # unit rows are taken as exact, others as they are
        assert OF_TABLE["code_bits"](theirs) > 1


def test_codes_of_unit_rows_are_told_as_they_are_and_others_as_the_lengths_they_add() -> None:
    """Exactly, also where rows were rounded to half precision; a row of zeros adds nothing, and its code stays."""
    codes = sparse.csr_matrix(np.random.default_rng(0).exponential(size=(30, 8)).astype(np.float32))
    unit = torch.nn.functional.normalize(torch.randn(8, 500, generator=torch.Generator().manual_seed(0)), dim=1)
    for rows in (unit, unit.half().float()):
        assert (as_lengths(codes, rows).data == codes.data).all()
    sizes = torch.tensor([2.0, 0.5, 0.0, 1.01, 1, 1, 1, 1])
    told = as_lengths(codes, unit * sizes[:, None])
    np.testing.assert_allclose(told.toarray(), codes.toarray() * sizes.numpy(), rtol=1e-6)
    assert told.nnz == codes.nnz


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
