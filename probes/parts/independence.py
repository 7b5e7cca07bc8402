"""How far latents are from independent of each other, as pure functions of a batch `row latent`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from probes.parts.contrast import cross_correlation
from probes.parts.likelihood import normal_log_density


def off_diagonal_correlation(z: Tensor) -> Tensor:
    """Mean squared correlation of two different latents; no scale, sign or order of latents changes it."""
    latents = z.shape[1]
    squared = cross_correlation(z, z).square()
    return (squared.sum() - squared.diagonal().sum()) / max(1, latents * (latents - 1))


def gaussian_dependence(z: Tensor, shrink: float) -> Tensor:
    """−½ log det R, the total correlation of a Gaussian with the latents' correlations R, in nats.

    R is drawn towards the identity by `shrink`, without which few rows or a copied latent have no value. It is what
    an InfoMax term punishes once deviations are one (attribution, section a).
    """
    mixed = cross_correlation(z, z) * (1 - shrink) + torch.eye(z.shape[1], dtype=z.dtype, device=z.device) * shrink
    return -torch.linalg.slogdet(mixed).logabsdet / 2


def total_correlation(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(q(z) ‖ Π_i q(z_i)) in nats, q(z) the mixture of the batch's own posteriors (Chen et al. 2018, β-TCVAE).

    `z` are samples of the rows' posteriors. The mixture is the batch's, not the data's, so it is a little too high on
    small batches.
    """
    each = normal_log_density(z[:, None], mean[None], log_variance[None])  # sample row latent
    rows = math.log(len(z))
    joint = each.sum(dim=2).logsumexp(dim=1) - rows
    alone = (each.logsumexp(dim=1) - rows).sum(dim=1)
    return (joint - alone).mean()
