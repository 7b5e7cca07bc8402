"""Reconstructions from every prefix of nested widths, as one running sum over blocks.

Codes are gathered once: each entry adds its decoder row to the block its latent lies in, and the prefix
reconstructions are the running sum over blocks. L widths cost L passes over `batch d`, not L decodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from probes.errors import WorkbenchError


def differing(shares: Sequence[float], n: int) -> tuple[float, ...]:
    """Of increasing shares of n latents, those that make a width of their own; of some that make the same, the last."""
    made = {math.ceil(share * n - 1e-9): share for share in shares}
    return tuple(share for width, share in made.items() if width < n)


def nested_widths(n: int, shares: Sequence[float]) -> tuple[int, ...]:
    """Increasing numbers of latents from shares of n, the whole dictionary last.

    Raises `WorkbenchError` where two of them would be equal.
    """
    widths = (*(math.ceil(share * n - 1e-9) for share in shares if share < 1), n)
    if any(a >= b for a, b in zip((0, *widths), widths, strict=False)):
        raise WorkbenchError(
            "bad-config",
            "The nested widths do not increase",
            f"{', '.join(map(str, widths))} of {n} latents",
            "Give shares that increase and differ by a latent at least, or more latents.",
        )
    return widths


class _Blocks(Function):
    """`batch block d`: what the entries of each block add, with row-sparse gradients of the decoder."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, index: Tensor, w_dec: Tensor, widths: tuple[int, ...]) -> Tensor:
        ends = torch.tensor(widths, device=index.device)
        row = torch.arange(len(index), device=index.device)[:, None]
        bag = (row * len(widths) + torch.bucketize(index, ends, right=True)).reshape(-1)
        ctx.save_for_backward(value, index, w_dec, bag)
        order = bag.argsort(stable=True)
        starts = torch.searchsorted(bag[order], torch.arange(len(index) * len(widths), device=index.device))
        summed = F.embedding_bag(
            index.reshape(-1)[order], w_dec, starts, mode="sum", per_sample_weights=value.reshape(-1)[order]
        )
        return summed.reshape(len(index), len(widths), -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        value, index, w_dec, bag = ctx.saved_tensors
        flat = grad.reshape(-1, grad.shape[-1])
        on = value.reshape(-1) > 0  # what is off stays off: no gradient is owed to it
        places, latents = bag[on], index.reshape(-1)[on]
        to_value = torch.zeros_like(value)
        to_value.view(-1)[on] = torch.einsum("ed,ed->e", flat[places], w_dec[latents])
        order = latents.argsort(stable=True)
        starts = torch.searchsorted(latents[order], torch.arange(len(w_dec), device=index.device))
        to_rows = F.embedding_bag(
            places[order], flat, starts, mode="sum", per_sample_weights=value.reshape(-1)[on][order]
        )
        return to_value, None, to_rows, None


def decode_nested(value: Tensor, index: Tensor, w_dec: Tensor, b_dec: Tensor, widths: Sequence[int]) -> list[Tensor]:
    """b_dec + Σ_{i < m} z_i w_i for each width m, narrowest first; each `batch d`.

    `value`, `index`: `batch width`, entries of value zero are off; `w_dec`: `n d`; the last width is n.
    """
    blocks = _Blocks.apply(value, index, w_dec, tuple(widths))  # type: ignore[no-untyped-call]
    return list((blocks.cumsum(dim=1) + b_dec).unbind(dim=1))
