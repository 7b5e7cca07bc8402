"""Densities of latents and how far two of them are apart, as pure functions. Nats throughout."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def normal_log_density(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(z; mean, variance), entry by entry; all shapes broadcast."""
    return -0.5 * (math.log(2 * math.pi) + log_variance + (z - mean).square() * torch.exp(-log_variance))


def gaussian_kl(
    mean: Tensor, log_variance: Tensor, prior_mean: Tensor | float = 0.0, prior_log_variance: Tensor | float = 0.0
) -> Tensor:
    """KL(N(mean, variance) ‖ N(prior)), entry by entry: `row latent`."""
    prior = torch.as_tensor(prior_log_variance, dtype=mean.dtype, device=mean.device)
    ratio = torch.exp(log_variance - prior)
    return 0.5 * (ratio + (mean - prior_mean).square() * torch.exp(-prior) - 1 + prior - log_variance)
