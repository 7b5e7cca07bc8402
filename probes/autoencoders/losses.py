"""Losses of sparse autoencoders as pure functions: tensors in, a scalar out."""

from __future__ import annotations

from torch import Tensor


def normalised_error(x: Tensor, decoded: Tensor) -> Tensor:
    """Σ‖x − x̂‖² / Σ‖x − x̄‖² over a batch `batch d`: the share of variance left unexplained.

    The mean x̄ is the batch's own and carries no gradient (convention of sparsify's FVU).
    """
    centred = (x - x.mean(dim=0)).square().sum()
    return (x - decoded).square().sum() / centred.clamp_min(1e-12)


def revival_error(residual: Tensor, pre: Tensor, rows: Tensor, k: int) -> Tensor:
    """AuxK: how well dead latents rebuild what the live ones left.

    `residual`: `batch d`, detached by the caller; `pre`: `batch n_dead` pre-activations of dead latents
    only; `rows`: `n_dead d` their decoder rows. Keeps min(k, n_dead) per row without a ReLU (SAELens'
    convention: a ReLU would leave never-firing latents without gradient) and scales by
    min(n_dead / k, 1), so that one dead latent is not asked to explain everything.
    """
    kept = min(k, pre.shape[1])
    value, index = pre.topk(kept, dim=1)
    sparse = pre.new_zeros(pre.shape).scatter(1, index, value)
    error = (residual - sparse @ rows).square().sum() / residual.square().sum().clamp_min(1e-12)
    return min(pre.shape[1] / k, 1.0) * error
