"""Description length: how many bits it takes to tell a row through a dictionary, residual and code and edges.

Rows are told to a fixed accuracy, a step Δ per dimension (uniform rounding), the same for every dictionary:
Δ² / 12 is a hundredth of the rows' mean variance per dimension. Per row, with every distribution fitted on
calibration rows and every length taken on held-out ones:

  residual bits   Σ_d −log2 [ N(e_d; mean_d, s_d²) Δ ],  s_d² the calibration variance, at least Δ² / 12
  code bits       which latents are on:  Σ_i −log2 P(b_i), P Bernoulli with the calibration frequency
                                         (Krichevsky-Trofimov: one half added to each count)
                  how strongly:          Σ_{i on} −log2 [ exponential(|z_i|; its calibration mean) Δ ],
                                         z_i as the length it adds to x, its code times its decoder row's norm:
                                         told to the accuracy of x, it does not depend on the unit of the codes
  edge bits       |E| log2(latents) once, divided by the training rows it serves

A latent with incoming edges is coded given whether any of its named others is on: an edge pays for itself
where that makes it less of a surprise. A dictionary that tells nothing costs its residual bits only, so a
figure is read against that of the mean (`no_dictionary`). What is ours: all of this form (DESIGN section 5
gives the three parts).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from probes.metrics.metric import Metric

ACCURACY = 0.01
ROUNDED = 2.0**-10  # coordinates in half precision are off by half of that at most, relatively
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """Rows as a dictionary tells them: `x` `row d` and its residual `row d`, and codes `row latent` as lengths in
    x (`as_lengths`)."""

    x: Tensor
    residual: Tensor
    codes: sparse.csr_matrix


@dataclass(frozen=True)
class Bits:
    """Bits per held-out row, `row` each: of the residual and the code, and of the residual without any
    dictionary; `edges`: bits of the edges per training row."""

    residual: Floats
    code: Floats
    no_dictionary: Floats
    edges: float


def as_lengths(codes: sparse.csr_matrix, decoder: Tensor) -> sparse.csr_matrix:
    """What each code adds to x, as a length: codes `row latent` times the norms of decoder rows `latent d`.

    Rows that are unit vectors but for their rounding to half precision are taken as such.
    """
    norms = decoder.double().norm(dim=1).numpy()
    norms = np.where(np.abs(norms - 1) < ROUNDED, 1.0, norms)
    scaled = (codes.data * norms[codes.indices], codes.indices, codes.indptr)
    return sparse.csr_matrix(scaled, shape=codes.shape)


def description_length(
    calibration: Told,
    held_out: Told,
    *,
    edges: NDArray[np.int64] | None = None,
    training_rows: int = 1,
    accuracy: float = ACCURACY,
) -> Bits:
    """Bits of held-out rows under distributions fitted on calibration rows; `edges`: `edge 2`, pairs
    (source, target) of latents inside the dictionary."""
    step = math.sqrt(12 * accuracy * float(calibration.x.double().var(dim=0, unbiased=False).mean()))
    n = calibration.codes.shape[1]
    pairs = np.zeros((0, 2), dtype=np.int64) if edges is None else edges
    return Bits(
        residual=gaussian_bits(calibration.residual, held_out.residual, step),
        code=presence_bits(calibration.codes, held_out.codes, pairs)
        + strength_bits(calibration.codes, held_out.codes, step),
        no_dictionary=gaussian_bits(calibration.x, held_out.x, step),
        edges=len(pairs) * math.log2(max(n, 2)) / max(training_rows, 1),
    )


def gaussian_bits(calibration: Tensor, held_out: Tensor, step: float) -> Floats:
    """Σ_d −log2 [N(x_d; mean, variance) Δ] per row; mean and variance per dimension from calibration rows."""
    fitted = calibration.double()
    mean = fitted.mean(dim=0)
    variance = fitted.var(dim=0, unbiased=False).clamp_min(step**2 / 12)
    away = (held_out.double() - mean).square() / variance
    bits = 0.5 * torch.log2(2 * math.pi * variance / step**2) + away / (2 * math.log(2))
    return np.asarray(bits.sum(dim=1).numpy())


def presence_bits(calibration: sparse.csr_matrix, held_out: sparse.csr_matrix, edges: NDArray[np.int64]) -> Floats:
    """Σ_i −log2 P(b_i) per row; a target of edges is told given whether any of its sources is on."""
    before, after = calibration != 0, held_out != 0
    n = before.shape[1]
    given_before, given_after = (_any_source(part, edges) for part in (before, after))
    rows = before.shape[0]
    context = np.asarray(given_before.sum(axis=0)).ravel()  # rows in which a source of the latent is on
    on = np.asarray(before.sum(axis=0)).ravel()
    on_in_context = np.asarray(before.multiply(given_before).sum(axis=0)).ravel()
    rates = _rate(on - on_in_context, rows - context), _rate(on_in_context, context)
    silence = np.log2(1 - rates[0])
    # All off, everywhere, no source on: then what each departure from that changes.
    bits = np.full(after.shape[0], -silence.sum())
    bits -= given_after @ (np.log2(1 - rates[1]) - silence)
    bits -= after @ (np.log2(rates[0]) - silence)
    both = after.multiply(given_after).tocsr()
    bits -= both @ (np.log2(rates[1]) - np.log2(1 - rates[1]) - np.log2(rates[0]) + silence)
    assert len(silence) == n
    return np.asarray(bits, dtype=np.float64)


def strength_bits(calibration: sparse.csr_matrix, held_out: sparse.csr_matrix, step: float) -> Floats:
    """Σ_{i on} −log2 [exponential(|z_i|) Δ] per row; the mean of each latent from calibration rows."""
    sizes = abs(calibration)
    count = np.asarray((calibration != 0).sum(axis=0)).ravel()
    total = np.asarray(sizes.sum(axis=0), dtype=np.float64).ravel()
    overall = total.sum() / max(count.sum(), 1)
    mean = (total + overall) / (count + 1)  # one made-up value of the usual size: rare latents have a mean too
    mean = np.maximum(mean, step)
    held = held_out.tocsr()
    each = np.log2(mean[held.indices] / step) + np.abs(held.data) / (mean[held.indices] * math.log(2))
    owner = np.repeat(np.arange(held.shape[0]), np.diff(held.indptr))
    return np.bincount(owner, weights=each * (held.data != 0), minlength=held.shape[0]).astype(np.float64)


def _any_source(on: sparse.csr_matrix, edges: NDArray[np.int64]) -> sparse.csr_matrix:
    """`row latent` bool: is any source of the latent on?"""
    n = on.shape[1]
    links = sparse.csr_matrix((np.ones(len(edges), dtype=np.int32), (edges[:, 0], edges[:, 1])), shape=(n, n))
    return ((on.astype(np.int32) @ links) > 0).tocsr()


def _rate(on: NDArray[np.integer], rows: NDArray[np.integer] | int) -> Floats:
    return np.asarray((on + 0.5) / (rows + 1.0), dtype=np.float64)


RESIDUAL_BITS = Metric(lambda seen: float(seen.residual.mean()), "bits", "bits per row")
CODE_BITS = Metric(lambda seen: float(seen.code.mean()), "bits", "bits per row", low=0)
EDGE_BITS = Metric(lambda seen: seen.edges, "bits", "bits per training row", low=0)
DESCRIPTION_LENGTH = Metric(
    lambda seen: float((seen.residual + seen.code).mean()) + seen.edges, "bits", "bits per row", "down"
)
BITS_SAVED = Metric(
    lambda seen: 1 - (float((seen.residual + seen.code).mean()) + seen.edges) / float(seen.no_dictionary.mean()),
    "bits",
    "share of the bits without a dictionary",
    "up",
    high=1,
)
