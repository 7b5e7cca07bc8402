"""The same operations in torch alone: any device, any number type, no compiler."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from probes.kernels.strongest import keep_strongest as keep_strongest

SPARE = 16  # candidates beyond k that a narrow product leaves to be scored exactly


def select(centred: Tensor, w_enc: Tensor, b_enc: Tensor, k: int, *, narrow: bool = False) -> tuple[Tensor, Tensor]:
    """(value, index), `row k`: ReLU of the k largest of centred · W_encᵀ + b_enc.

    `centred`: `row d`, `w_enc`: `n d`. With `narrow` a bfloat16 product chooses k + 16 candidates; their values
    are then computed again in the weights' own type and the k largest kept; they carry no gradient.
    """
    if not narrow:
        value, index = torch.addmm(b_enc, centred, w_enc.T).topk(k, dim=1, sorted=False)
        return value.relu(), index
    wide = min(k + SPARE, len(w_enc))
    screened = F.linear(centred.bfloat16(), w_enc.bfloat16()).float() + b_enc
    candidates = screened.topk(wide, dim=1, sorted=False).indices
    score = _scores(centred, w_enc, candidates) + b_enc[candidates]
    value, place = score.topk(k, dim=1, sorted=False)
    return value.relu(), candidates.gather(1, place)


def _scores(centred: Tensor, w_enc: Tensor, candidates: Tensor) -> Tensor:
    """centred[b] · w_enc[candidates[b, j]], `row candidate`, without gathering the weights: it is what decoding
    with those weights passes back to its codes."""
    with torch.enable_grad():
        codes = torch.zeros(candidates.shape, dtype=w_enc.dtype, device=w_enc.device, requires_grad=True)
        decoded = F.embedding_bag(candidates, w_enc.detach(), per_sample_weights=codes, mode="sum")
        return torch.autograd.grad(decoded, codes, centred.detach())[0]


def above(centred: Tensor, w_enc: Tensor, b_enc: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
    """(value, index), `row width`: the pre-activations that exceed their latent's threshold (`n`).

    Width is the most that any row has, at least 1. Entries of value zero are padding.
    """
    pre = torch.addmm(b_enc, centred, w_enc.T)
    on = pre > threshold
    width = max(int(on.sum(dim=1).max()), 1) if len(on) else 1
    value, index = pre.masked_fill(~on, -torch.inf).topk(width, dim=1)
    return torch.where(on.gather(1, index), value, 0.0), index


def accumulate(index: Tensor, weight: Tensor, source: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """(`n d` sums of weight · source, `n` sums of weight) over the entries of each latent.

    `index`, `weight`: `batch k`; `source`: `batch d`. One sort, then one pass per latent.
    """
    total = torch.zeros(n, dtype=weight.dtype, device=weight.device)
    total.scatter_add_(0, index.reshape(-1), weight.reshape(-1))
    flat, order = index.reshape(-1).sort(stable=True)
    rows = order // index.shape[1]
    ends = torch.searchsorted(flat, torch.arange(n, device=flat.device))
    summed = F.embedding_bag(rows, source, ends, mode="sum", per_sample_weights=weight.reshape(-1)[order])
    return summed, total


def remove_along(grad: Tensor, rows: Tensor) -> None:
    """grad[i] -= (grad[i] · rows[i]) rows[i], in place."""
    grad -= (grad * rows).sum(dim=1, keepdim=True) * rows


def normalise(rows: Tensor) -> None:
    """rows[i] /= ‖rows[i]‖, in place; a row of zeros stays one."""
    rows.div_(rows.norm(dim=1, keepdim=True) + torch.finfo(torch.float32).eps)
