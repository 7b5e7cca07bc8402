"""Whole images of a store: which frames are of one, what it was made from, and what codes come to in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from probes.activations.store import ActivationStore
from probes.hierarchy.codes import ShardCodes, csr_max


def images_in(store: ActivationStore, shard: int) -> tuple[Tensor, np.ndarray]:
    """(`frame`: the image of each, numbered from 0; `image`: its first frame). The frames of an image lie together."""
    own = torch.unique_consecutive(store.read(shard, "image")[0].long(), return_inverse=True)[1]
    return own, np.unique(own.numpy(), return_index=True)[1]


def mean_codes(store: ActivationStore, found: ShardCodes) -> np.ndarray:
    """`image latent`, float64: over an image's cells and the steps of its level's band."""
    own, first = images_in(store, found.shard)
    n, images = found.codes.n_latents, len(first)
    key = own[:, None, None] * n + found.codes.index
    total = torch.zeros(images * n, dtype=torch.float64)
    total.index_add_(0, key.flatten(), found.codes.value.flatten().double())
    places = torch.zeros(images, dtype=torch.float64).index_add_(0, own, found.usable.sum(dim=1).double())
    return np.asarray((total.reshape(images, n) / places.clamp_min(1)[:, None]).numpy())


def largest_codes(store: ActivationStore, found: ShardCodes, latents: Sequence[int]) -> sparse.csr_matrix:
    """`image latent`, of some latents: over the same."""
    own, first = images_in(store, found.shard)
    active = found.codes.active
    rows = own[:, None, None].expand(active.shape)[active]
    shape = (len(first), found.codes.n_latents)
    return csr_max(rows, found.codes.index[active], found.codes.value[active], shape)[:, list(latents)].tocsr()
