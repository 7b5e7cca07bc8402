"""Hard-concrete gates (Louizos, Welling, Kingma 2018): differentiable switches with exact zeros."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1


def sample_gates(log_alpha: Tensor, uniform: Tensor) -> Tensor:
    """Gates in [0, 1] for uniform noise of the same shape: stretched, clamped binary concrete."""
    noise = torch.log(uniform) - torch.log1p(-uniform)
    return _stretch(torch.sigmoid((noise + log_alpha) / BETA))


def mean_gates(log_alpha: Tensor) -> Tensor:
    """The deterministic gate used after training."""
    return _stretch(torch.sigmoid(log_alpha))


def open_probability(log_alpha: Tensor) -> Tensor:
    """P(gate > 0), the differentiable count of open gates."""
    return torch.sigmoid(log_alpha - BETA * math.log(-GAMMA / ZETA))


def _stretch(s: Tensor) -> Tensor:
    return (s * (ZETA - GAMMA) + GAMMA).clamp(0, 1)
