"""Choosing the active latents of a whole batch at once, and the gradient of the values that were chosen.

Which latents are on is decided without a gradient, over as few candidates as possible; the values of those
alone then get theirs, so that a step stays proportional to the number of active latents.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from probes.autoencoders.sparse import accumulate_rows, encode_topk
from probes.training.ranks import ONE, Group

CANDIDATES = 4  # per row, in units of k; doubled until no row could have more


class _Chosen(Function):
    """The given values, as a function of the weights they were computed from."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w_enc: Tensor, b_enc: Tensor, b_dec: Tensor, value: Tensor, index: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x - b_dec, w_enc, value, index)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        centred, w_enc, value, index = ctx.saved_tensors
        grad = torch.where(value > 0, grad, 0.0)
        grad_b = torch.zeros(w_enc.shape[0], dtype=grad.dtype, device=grad.device)
        grad_b.scatter_add_(0, index.reshape(-1), grad.reshape(-1))
        grad_w = accumulate_rows(index, grad, centred, w_enc.shape[0])
        return None, grad_w, grad_b, -(grad_b @ w_enc), None, None


def encode_batch_topk(
    x: Tensor, w_enc: Tensor, b_enc: Tensor, b_dec: Tensor, k: float, rows: Group = ONE
) -> tuple[Tensor, Tensor]:
    """(value, index), both `batch width`: the ⌊k · batch⌋ largest positive pre-activations of a batch.

    `x`: `batch d` (no gradient), `w_enc`: `n d`; k may be fractional. Rows hold as many as they get: width is
    the most any row has, entries of value zero are padding. Within a row latents come in order. Where processes
    (`rows`) divide the batch, each gives its part of it, and the largest of all are chosen.
    """
    with torch.no_grad():
        value, index = _largest(x, w_enc, b_enc, b_dec, k, rows)
    return _Chosen.apply(x, w_enc, b_enc, b_dec, value, index), index  # type: ignore[no-untyped-call]


def _largest(x: Tensor, w_enc: Tensor, b_enc: Tensor, b_dec: Tensor, k: float, rows: Group) -> tuple[Tensor, Tensor]:
    wanted, n = int(k * len(x) * rows.size), w_enc.shape[0]
    width = min(n, math.ceil(CANDIDATES * k))
    while True:
        value, index = encode_topk(x, w_enc, b_enc, b_dec, width)
        every = rows.gathered(value.reshape(-1), dim=0)
        best = every.topk(min(wanted, every.numel()), sorted=False).indices
        on = torch.zeros(every.numel(), dtype=torch.bool, device=x.device)
        on[best] = True
        on = rows.part(on).reshape(value.shape) & (value > 0)
        if width == n or not rows.largest(int(on.all(dim=1).any())):
            return _packed(value, index, on, n)
        width = min(n, 2 * width)


def _packed(value: Tensor, index: Tensor, on: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The entries that are on, first and in the order of their latents; the rest is padding."""
    width = max(int(on.sum(dim=1).max()), 1)
    index, order = torch.where(on, index, n).sort(dim=1)
    value = torch.where(on, value, 0.0).gather(1, order)
    return value[:, :width].contiguous(), index[:, :width].clamp_max(n - 1).contiguous()
