"""TopK encoding and sparse decoding whose gradients touch only the rows that fired.

Dense autograd spends six products of batch x d_model x n_latents per step; only the encoder's forward
product is needed exactly, and of that the k largest entries. Everything else is proportional to k. The loops
are those of `probes.kernels`.

Under bfloat16 autocast that product is a screen: it chooses k + 16 candidates, whose pre-activations are then
computed again in float32. Values and gradients are float32 either way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from probes.kernels.choice import compiled_here, kernels_for


def accumulate_rows(index: Tensor, weight: Tensor, source: Tensor, n: int) -> Tensor:
    """out[i] = Σ over (b, j) with index[b, j] = i of weight[b, j] · source[b].

    `index`, `weight`: `batch k`; `source`: `batch d`; returns `n d`.
    """
    return kernels_for(weight, source).accumulate(index, weight, source, n)[0]


def _narrow(device: str) -> bool:
    return torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16


class _TopK(Function):
    """value, index = the k largest pre-activations, negative ones set to zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_enc: Tensor, b_enc: Tensor, b_dec: Tensor, k: int) -> tuple[Tensor, Tensor]:
        centred = x - b_dec
        device = x.device.type
        narrow = _narrow(device)
        with torch.autocast(device, enabled=False):
            value, index = kernels_for(centred, w_enc, b_enc).select(centred, w_enc, b_enc, k, narrow=narrow)
        ctx.save_for_backward(centred, w_enc, value, index)
        ctx.mark_non_differentiable(index)
        return value, index

    @staticmethod
    def backward(ctx: Any, grad_value: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        centred, w_enc, value, index = ctx.saved_tensors
        grad = torch.where(value > 0, grad_value, 0.0)
        grad_w, grad_b = kernels_for(grad, centred).accumulate(index, grad, centred, len(w_enc))
        with torch.autocast(grad.device.type, enabled=False):  # gradients are wide whatever surrounds the backward pass
            to_x = (
                F.embedding_bag(index, w_enc, per_sample_weights=grad, mode="sum") if ctx.needs_input_grad[0] else None
            )
            return to_x, grad_w, grad_b, -(grad_b @ w_enc), None


class _Decode(Function):
    """Decoding on the compiled loops: both gradients in one pass over the latents."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, index: Tensor, w_dec: Tensor) -> Tensor:
        ctx.save_for_backward(value, index, w_dec)
        return F.embedding_bag(index, w_dec, per_sample_weights=value, mode="sum")

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        from probes.kernels.fast import decoder_gradients

        value, index, w_dec = ctx.saved_tensors
        to_value, to_rows = decoder_gradients(grad, value, index, w_dec)
        return to_value, None, to_rows


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

    `x`: `batch d`, `w_enc`: `n d`. An entry of value zero is padding, whatever its index.
    """
    value, index = _TopK.apply(x, w_enc, b_enc, b_dec, k)  # type: ignore[no-untyped-call]
    return value, index


def decode_sparse(value: Tensor, index: Tensor, w_dec: Tensor) -> Tensor:
    """Σ_j value[b, j] · w_dec[index[b, j]], `batch d`, without the bias.

    Entries of value zero are padding: neither they nor the rows they name get a gradient.
    """
    if compiled_here() and value.dtype == w_dec.dtype == torch.float32 and value.device.type == "cpu":
        decoded: Tensor = _Decode.apply(value, index, w_dec)  # type: ignore[no-untyped-call]
        return decoded
    decoded = F.embedding_bag(index, w_dec.detach(), per_sample_weights=value, mode="sum")
    return _RowGradient.apply(decoded, w_dec, value.detach(), index)  # type: ignore[no-untyped-call]
