"""One dictionary for several noise bands: what is folded for each is what was trained, modulation and all."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from probes.addresses import HookPoint
from probes.autoencoders.banded import Banded, with_band
from probes.autoencoders.dictionary import Dictionary
from probes.autoencoders.fitting import new_autoencoder, objective_of
from probes.autoencoders.sparse import encode_topk
from probes.training.loop import Progress, train
from tests.fixtures.mixtures import D_IN, small

BANDS = 3
QUIET = Progress(lambda step, values: None, lambda: False, lambda step, tensors, state: None)


def rows_of(band: int, rows: int = 64, seed: int = 0) -> Tensor:
    """Mixtures of the same directions at a size and around a mean that drift with the band."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(24, D_IN, generator=generator), dim=1)
    draw = torch.Generator().manual_seed(100 * band + seed)
    codes = torch.rand(rows, 24, generator=draw) * (torch.rand(rows, 24, generator=draw) < 0.12)
    return (1 + 2 * band) * (codes @ directions) + band * torch.linspace(-1, 1, D_IN)


def batch_at(step: int) -> dict[str, Tensor]:
    return {"x": torch.cat([with_band(rows_of(band, seed=step), band) for band in range(BANDS)])}


@pytest.mark.parametrize("modulates", [False, True])
@pytest.mark.parametrize("kind", ["topk", "batch_topk", "jumprelu", "gated", "matryoshka"])
def test_a_folded_band_gives_the_codes_of_training(kind: str, modulates: bool) -> None:
    config = small({"kind": kind}, steps=3)
    model = new_autoencoder(config, D_IN, normalise=Banded(D_IN, BANDS, modulates=modulates))
    model.begin(torch.cat([batch_at(step)["x"] for step in range(4)]))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for part in (model.b_enc, model.b_dec, *([model.normalise.gain, model.normalise.shift] if modulates else [])):
            part.add_(0.3 * torch.randn(part.shape, generator=generator))
    for band in range(BANDS):
        raw = rows_of(band, seed=9)
        seen = model.represent({"x": with_band(raw, band)})
        space = Dictionary.from_training(model, HookPoint(path="x"), "x", half=False, band=band)
        unit = 1 / float(model.normalise.scale[band]) if model.competes else space_units(model, band)
        trained = model.pre_activations(model.normalise.rows(with_band(raw, band)))
        torch.testing.assert_close(space.pre_activations(raw), trained.detach() * unit, rtol=1e-4, atol=1e-4)
        if kind in {"topk", "jumprelu", "gated"}:
            rebuilt = seen.decoded.detach() / model.normalise.scale[band] + model.normalise.mean[band]
            codes = space.encode(raw) if kind != "topk" else _exactly(space, raw, int(config.k))
            torch.testing.assert_close(space.reconstruct(raw, codes), rebuilt, rtol=1e-4, atol=1e-4)


def space_units(model: Any, band: int) -> Tensor:
    return (model.w_dec / model.normalise.scale[band]).norm(dim=1).detach()


def _exactly(space: Dictionary, raw: Tensor, k: int) -> Any:
    """The codes of the k largest, as in training: a dictionary may have a few more before it is calibrated."""
    from dataclasses import replace

    return replace(space, most_active=k).encode(raw)


def test_a_gradient_reaches_what_the_input_is_computed_from() -> None:
    generator = torch.Generator().manual_seed(0)
    x, w = torch.randn(5, 8, generator=generator), torch.randn(20, 8, generator=generator)
    b_enc, b_dec = torch.randn(20, generator=generator), torch.randn(8, generator=generator)
    mine = x.clone().requires_grad_()
    value, index = encode_topk(mine, w, b_enc, b_dec, 3)
    weight = torch.randn(value.shape, generator=generator)
    (value * weight).sum().backward()
    dense = x.clone().requires_grad_()
    pre = ((dense - b_dec) @ w.T + b_enc).relu()
    (pre.gather(1, index) * weight).sum().backward()
    torch.testing.assert_close(mine.grad, dense.grad)


def test_modulation_learns_and_cannot_scale_the_task_away() -> None:
    config = small({"kind": "topk"}, steps=80)
    figures = {}
    for modulates in (False, True):
        model = new_autoencoder(config, D_IN, normalise=Banded(D_IN, BANDS, modulates=modulates))
        model.begin(torch.cat([batch_at(step)["x"] for step in range(8)]))
        train(objective_of(model, config), batch_at, config.optimiser, QUIET)
        raw, spaces = [rows_of(band, 256, 999) for band in range(BANDS)], []
        for band, rows in enumerate(raw):
            found = Dictionary.from_training(model, HookPoint(path="x"), "x", band=band).calibrated(rows, config.k)
            error = (found.reconstruct(rows) - rows).square().sum()
            spaces.append(float(1 - error / (rows - rows.mean(dim=0)).square().sum()))
        figures[modulates] = min(spaces)
        if modulates:
            assert float(model.normalise.gain.detach().abs().max()) > 1e-3
    assert min(figures.values()) > 0.6
