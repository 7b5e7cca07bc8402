"""Steps with a threshold that can be learnt: straight-through gradients with a rectangle kernel.

Rajamanoharan et al. 2024 (JumpReLU). With K(u) = 1 for |u| < 1/2, both ends open, and bandwidth ε:
 jump(pre, θ) = pre · 1[pre > θ]   ∂/∂pre = 1[pre > θ]   ∂/∂θ = −(θ/ε) K((pre − θ)/ε)
 step(pre, θ) = 1[pre > θ]         ∂/∂pre = 0            ∂/∂θ = −(1/ε) K((pre − θ)/ε)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


class _Jump(Function):
    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return torch.where(pre > threshold, pre, 0.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pre, threshold = ctx.saved_tensors
        near = _near(pre, threshold, ctx.bandwidth)
        to_threshold = -(threshold / ctx.bandwidth) * torch.where(near, grad, 0.0)
        return torch.where(pre > threshold, grad, 0.0), _summed(to_threshold, threshold), None


class _Step(Function):
    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return (pre > threshold).to(threshold.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pre, threshold = ctx.saved_tensors
        near = _near(pre, threshold, ctx.bandwidth)
        return None, _summed(-torch.where(near, grad, 0.0) / ctx.bandwidth, threshold), None


def jump(pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    """Pre-activations `batch n` above their thresholds `n`, zero elsewhere."""
    return _Jump.apply(pre, threshold, bandwidth)  # type: ignore[no-untyped-call]


def step(pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    """1 where a pre-activation `batch n` is above its threshold `n`, else 0, in the thresholds' precision."""
    return _Step.apply(pre, threshold, bandwidth)  # type: ignore[no-untyped-call]


def _near(pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    return (pre - threshold).abs() < bandwidth / 2


def _summed(grad: Tensor, like: Tensor) -> Tensor:
    return grad.sum_to_size(like.shape).to(like.dtype)
