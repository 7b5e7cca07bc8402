"""TopK encoding and sparse decoding whose gradients touch only the rows that fired.

Dense autograd spends six products of batch x d_model x n_latents per step; only the encoder's forward
product is needed exactly. Everything else is proportional to k.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F


def accumulate_rows(index: Tensor, weight: Tensor, source: Tensor, n: int) -> Tensor:
    """out[i] = Σ over (b, j) with index[b, j] = i of weight[b, j] · source[b].

    `index`, `weight`: `batch k`; `source`: `batch d`; returns `n d`. One sort, then one pass per latent.
    """
    flat, order = index.reshape(-1).sort(stable=True)
    rows = order // index.shape[1]
    ends = torch.searchsorted(flat, torch.arange(n, device=flat.device))
    return F.embedding_bag(rows, source, ends, mode="sum", per_sample_weights=weight.reshape(-1)[order])


class _TopK(Function):
    """value, index = the k largest pre-activations, negative ones set to zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_enc: Tensor, b_enc: Tensor, b_dec: Tensor, k: int) -> tuple[Tensor, Tensor]:
        centred = x - b_dec
        # Under autocast the product is narrow; what is kept of it is as wide as the rows.
        pre = torch.addmm(b_enc, centred, w_enc.T).to(centred.dtype)
        value, index = pre.topk(k, dim=1, sorted=False)
        value = value.relu()
        ctx.save_for_backward(centred, w_enc, value, index)
        ctx.mark_non_differentiable(index)
        return value, index

    @staticmethod
    def backward(ctx: Any, grad_value: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        centred, w_enc, value, index = ctx.saved_tensors
        grad = torch.where(value > 0, grad_value, 0.0)
        grad_b = torch.zeros(w_enc.shape[0], dtype=grad.dtype, device=grad.device)
        grad_b.scatter_add_(0, index.reshape(-1), grad.reshape(-1))
        grad_w = accumulate_rows(index, grad, centred, w_enc.shape[0])
        return None, grad_w, grad_b, -(grad_b @ w_enc), None


class _RowGradient(Function):
    """Identity on a decoded batch whose backward gives the decoder its row-sparse gradient."""

    @staticmethod
    def forward(ctx: Any, decoded: Tensor, w_dec: Tensor, value: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(value, index)
        ctx.n = w_dec.shape[0]
        return decoded.view_as(decoded)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        value, index = ctx.saved_tensors
        return grad, accumulate_rows(index, value, grad, ctx.n), None, None


def encode_topk(x: Tensor, w_enc: Tensor, b_enc: Tensor, b_dec: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(value, index), both `batch k`: ReLU of the k largest of (x − b_dec) W_encᵀ + b_enc.

    `x`: `batch d` (no gradient), `w_enc`: `n d`.
    """
    value, index = _TopK.apply(x, w_enc, b_enc, b_dec, k)  # type: ignore[no-untyped-call]
    return value, index


def decode_sparse(value: Tensor, index: Tensor, w_dec: Tensor) -> Tensor:
    """Σ_j value[b, j] · w_dec[index[b, j]], `batch d`, without the bias."""
    decoded = F.embedding_bag(index, w_dec.detach(), per_sample_weights=value, mode="sum")
    return _RowGradient.apply(decoded, w_dec, value.detach(), index)  # type: ignore[no-untyped-call]
