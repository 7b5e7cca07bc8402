"""Folding a normalisation into the weights: the same codes and reconstructions, from raw activations.

With input map x' = A (x − m), target map y' = B (y − n), and u_i the length that one unit of code i adds to a
raw activation, ‖B⁻¹ w_i‖ (where the input is centred by b_dec and the maps differ, b_enc' also makes up for that):
 w_enc' = u w_enc A       b_enc' = u b_enc (− u w_enc A m where the input is not centred by b_dec)
 w_dec' = B⁻¹ w_dec / u   b_dec' = B⁻¹ b_dec + n (− skip' m)       θ' = u θ    skip' = B⁻¹ skip A
and, for gates, the same gain, and the magnitude's bias like b_enc. Codes become lengths in the stream: decoder
rows are unit vectors. Where latents compete (TopK and its kin) their units cannot be changed one by one without
changing who wins, so that u is one number for all, and rows keep their relative lengths: they are unit vectors
still where the normalisation is a single scale. Everything is computed in float64 and then rounded once.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.banded import Banded
from probes.autoencoders.normalisation import Affine


class Folded(NamedTuple):
    """Weights that act on raw activations (float32), with the names and shapes of a `Dictionary`."""

    w_enc: Tensor
    b_enc: Tensor
    w_dec: Tensor
    b_dec: Tensor
    threshold: Tensor
    gain: Tensor | None
    magnitude_bias: Tensor | None
    skip: Tensor | None


@torch.no_grad()
def fold(trained: TrainableAutoencoder, band: int | None = None) -> Folded:
    """The weights of a trained autoencoder without its normalisation; per-row standardisation stays a rule.

    `band`: which noise band's, where the normalisation has one for each.
    """
    normalise = trained.normalise
    inner, outer = normalise.maps_at(band or 0) if isinstance(normalise, Banded) else normalise.maps()
    if "target" not in trained.reads and not normalise.modulates:
        outer = inner
    w_enc, b_enc, w_dec, b_dec, theta = (
        part.detach().double()
        for part in (trained.w_enc, trained.b_enc, trained.w_dec, trained.b_dec, trained.thresholds())
    )
    rows = _undone(w_dec, outer)
    if not trained.competes:
        unit = rows.norm(dim=1).clamp_min(1e-30)
    else:
        unit = torch.ones(()) if outer.gain.ndim else 1 / outer.gain.double()
    w_enc = _applied(w_enc, inner) * unit.reshape(-1, 1)
    moved = w_enc @ inner.mean.double() if inner.mean is not None and not trained.centre else torch.zeros(())
    b_dec = _undone(b_dec[None], outer)[0]
    if outer.mean is not None:
        b_dec = b_dec + outer.mean.double()
    if normalise.modulates and trained.centre:
        # The encoder subtracts b_dec from its own input, the dictionary b_dec' from the raw row.
        offset = torch.zeros(()) if inner.mean is None else inner.mean.double()
        moved = w_enc @ (offset - b_dec) + (trained.w_enc.double() @ trained.b_dec.double()) * unit
    skip, magnitudes = trained.skip_map(), trained.magnitudes()
    if skip is not None:
        skip = _applied(_undone(skip.detach().double().T, outer).T, inner)
        b_dec = b_dec if inner.mean is None else b_dec - skip @ inner.mean.double()
    gain, bias = (None, None) if magnitudes is None else (part.detach().double() for part in magnitudes)
    parts = (
        w_enc,
        b_enc * unit - moved,
        rows / unit.reshape(-1, 1),
        b_dec,
        theta * unit,
        gain,
        None if bias is None or gain is None else bias * unit - gain * moved,
        skip,
    )
    return Folded(*(None if part is None else part.float() for part in parts))  # type: ignore[arg-type]


def unit_rows(w_enc: Tensor, b_enc: Tensor, w_dec: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Encoder `n d`, bias `n` and decoder `n d` in units where decoder rows have length one.

    Selecting the largest codes in these units is what SAELens calls rescaling activations by decoder norms.
    """
    norms = w_dec.norm(dim=1)
    return w_enc * norms[:, None], b_enc * norms, w_dec / norms[:, None]


def _applied(rows: Tensor, by: Affine) -> Tensor:
    """rows A, `n d`."""
    gain = by.gain.double()
    return rows @ gain if gain.ndim == 2 else rows * gain


def _undone(rows: Tensor, by: Affine) -> Tensor:
    """Every row w as A⁻¹ w, `n d`."""
    gain = by.gain.double()
    return torch.linalg.solve(gain, rows.T).T if gain.ndim == 2 else rows / gain
