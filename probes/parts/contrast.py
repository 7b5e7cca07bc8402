"""Losses that compare two views of the same rows, as pure functions. All take `row d` beside `row d`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LEAST = 1e-6  # added before a root, so that a constant column has a slope
ROUNDING = 1e-12  # of a column's mean square: a variance below it is that of rounding, and the column is constant


def info_nce(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """−log e^{s(a, a⁺)/τ} / Σ e^{s(a, ·)/τ}, s the cosine; all other rows of both views are negatives (SimCLR's form).

    Mean over the 2n anchors, in nats; log(2n − 1) where nothing is told apart.
    """
    both = functional.normalize(torch.cat([first, second]), dim=1)
    logits = both @ both.T / temperature
    itself = torch.eye(len(both), dtype=torch.bool, device=both.device)
    partner = torch.arange(len(both), device=both.device).roll(len(first))
    return functional.cross_entropy(logits.masked_fill(itself, -torch.inf), partner)


def matched_pairs(similarity: Tensor) -> Tensor:
    """Symmetric cross-entropy of `row row` similarities whose diagonal is true (CLIP's form), mean of both sides."""
    partner = torch.arange(len(similarity), device=similarity.device)
    rows = functional.cross_entropy(similarity, partner)
    return (rows + functional.cross_entropy(similarity.T, partner)) / 2


def cross_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Correlation of every column of one view with every column of the other, `d d`."""
    return standardised(first).T @ standardised(second) / len(first)


def barlow(first: Tensor, second: Tensor, redundancy: float) -> Tensor:
    """Σ_i (1 − C_ii)² + λ Σ_{i≠j} C_ij², C the cross-correlation of the views (Zbontar et al. 2021)."""
    cross = cross_correlation(first, second)
    agreed = cross.diagonal()
    return (1 - agreed).square().sum() + redundancy * (cross.square().sum() - agreed.square().sum())


def vicreg(first: Tensor, second: Tensor, invariance: float, variance: float, covariance: float) -> Tensor:
    """Views close, columns alive, columns unlike each other (Bardes et al. 2022, the paper's sums over both views).

    Invariance is the mean squared difference per entry; variance the mean of max(0, 1 − deviation) over columns;
    covariance the squared off-diagonal entries per column.
    """
    spread, shared = first.new_zeros(()), first.new_zeros(())
    for view in (first, second):
        centred = view - view.mean(dim=0)
        cov = centred.T @ centred / (len(view) - 1)
        spread = spread + (1 - (cov.diagonal() + LEAST).sqrt()).relu().mean()
        shared = shared + (cov.square().sum() - cov.diagonal().square().sum()) / view.shape[1]
    return invariance * (first - second).square().mean() + variance * spread + covariance * shared


def standardised(z: Tensor) -> Tensor:
    """Columns of mean 0 and deviation 1, over all rows, whatever size they come in; constant ones are zero.

    A number added to the variance would be felt by small columns alone: whoever shrinks all of them would seem to have
    made them uncorrelated. What is constant is measured by its own size, so that it still has a slope.
    """
    centred, size = z - z.mean(dim=0), z.square().mean(dim=0)
    variance = centred.square().mean(dim=0)
    return centred / torch.where(variance > ROUNDING * size, variance, size + LEAST).sqrt()
