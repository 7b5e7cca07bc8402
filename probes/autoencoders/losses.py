"""Losses of sparse autoencoders as pure functions: tensors in, a scalar out."""

from __future__ import annotations

from torch import Tensor

from probes.training.ranks import ONE, Group


def normalised_error(x: Tensor, decoded: Tensor) -> Tensor:
    """Σ‖x − x̂‖² / Σ‖x − x̄‖² over a batch `batch d`: the share of variance left unexplained.

    The mean x̄ is the batch's own and carries no gradient (convention of sparsify's FVU).
    """
    centred = (x - x.mean(dim=0)).square().sum()
    return (x - decoded).square().sum() / centred.clamp_min(1e-12)


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
