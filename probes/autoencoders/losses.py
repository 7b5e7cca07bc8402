"""Losses of sparse autoencoders as pure functions: tensors in, a scalar out.

Conventions: a squared error is summed over dimensions and averaged over rows; a penalty is summed over latents
and averaged over rows. Codes are dense `batch n`, or sparse `batch width` with the latents they belong to.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from probes.training.ranks import ONE, Group


def squared_error(target: Tensor, decoded: Tensor) -> Tensor:
    """Mean over rows of ‖x − x̂‖², both `batch d`."""
    return (target - decoded).square().sum(dim=-1).mean()


def normalised_error(x: Tensor, decoded: Tensor) -> Tensor:
    """Σ‖x − x̂‖² / Σ‖x − x̄‖² over a batch `batch d`: the share of variance left unexplained.

    The mean x̄ is the batch's own and carries no gradient (convention of sparsify's FVU).
    """
    centred = (x - x.mean(dim=0)).square().sum()
    return (x - decoded).square().sum() / centred.clamp_min(1e-12)


def nested_error(target: Tensor, prefixes: Sequence[Tensor]) -> Tensor:
    """Σ over nested widths of the normalised error of each prefix reconstruction, all `batch d`.

    The sum over widths is SAELens' convention; the whole dictionary's own error is not among them.
    """
    return torch.stack([normalised_error(target, prefix) for prefix in prefixes]).sum()


def revival_error(residual: Tensor, pre: Tensor, rows: Tensor, k: int, shards: Group = ONE) -> Tensor:
    """AuxK: how well dead latents rebuild what the live ones left.

    `residual`: `batch d`, detached by the caller; `pre`: `batch n_dead` pre-activations of dead latents
    only; `rows`: `n_dead d` their decoder rows. Keeps min(k, n_dead) per row without a ReLU (SAELens'
    convention: a ReLU would leave never-firing latents without gradient) and scales by
    min(n_dead / k, 1), so that one dead latent is not asked to explain everything. Where processes (`shards`)
    divide the latents, each gives its own dead ones, and all get the value of all.
    """
    n_dead = int(shards.total(pre.shape[1]))
    kept = min(k, n_dead)
    value, index = pre.topk(min(kept, pre.shape[1]), dim=1)
    sparse = pre.new_zeros(pre.shape).scatter(1, index, shards.among_largest(value, kept))
    error = (residual - shards.summed(sparse @ rows)).square().sum() / residual.square().sum().clamp_min(1e-12)
    return min(n_dead / k, 1.0) * error


def weighted_l1(value: Tensor, norms: Tensor, index: Tensor | None = None) -> Tensor:
    """Mean over rows of Σ_i |z_i| ‖w_i‖. `norms`: `n` decoder norms.

    With the norms in it, codes cannot be shrunk for nothing by growing the decoder.
    """
    weight = norms if index is None else norms[index]
    return (value.abs() * weight).sum(dim=-1).mean()


def tanh_l0(value: Tensor, norms: Tensor, scale: float) -> Tensor:
    """Mean over rows of Σ_i tanh(scale · z_i ‖w_i‖): a smooth count of active latents. `value`: `batch n`."""
    return torch.tanh(scale * value * norms).sum(dim=-1).mean()


def relative_l0(l0: Tensor, target: float, *, each_row: bool = False) -> Tensor:
    """(L0 / T − 1)², of the mean over rows (dictionary_learning) or of each row and then averaged.

    `l0`: `batch`, active latents per row. SAELens' quadratic penalty is 2T times the value by rows.
    """
    if each_row:
        return (l0 / target - 1).square().mean()
    return (l0.mean() / target - 1).square()


def out_of_reach(pre: Tensor, threshold: Tensor, norms: Tensor) -> Tensor:
    """Mean over rows of Σ_i ReLU(θ_i − pre_i) ‖w_i‖: how far latents are from firing. `pre`: `batch n`."""
    return ((threshold - pre).relu() * norms).sum(dim=-1).mean()


def error_by_latent(target: Tensor, predicted: Tensor, variance: Tensor) -> Tensor:
    """Mean over latents of E(z − f)² / var z: 1 is no better than the mean. `row n` each, `variance`: `n`."""
    return ((target - predicted).square().mean(dim=0) / variance).mean()


def uncovered(predicted: Tensor, reach: Tensor) -> Tensor:
    """Mean over rows of Σ_j ReLU(f_j − pre_j)² where f_j > 0, both `row n_high`.

    One-sided: a parent may fire without its children; children whose map predicts it must not leave it off.
    Where nothing is predicted nothing is asked, else every parent would be pulled up to zero.
    """
    short = torch.where(predicted > 0, predicted - reach, 0.0).relu()
    return short.square().sum(dim=-1).mean()
