"""Codes of whole images: the mean of each latent over an image's cells and the steps of its level's band."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from probes.activations.store import ActivationStore, Split
from probes.hierarchy.codes import encode_shard
from probes.hierarchy.probe import Level


def image_codes(store: ActivationStore, split: Split, level: Level) -> Iterator[np.ndarray]:
    """`image latent`, float64, shard by shard in the order of the store."""
    n = level.space.n_latents
    for shard in store.shards(split):
        found = encode_shard(store, shard, level)
        own = torch.unique_consecutive(store.read(shard, "image")[0].long(), return_inverse=True)[1]
        images = int(own.max()) + 1
        key = own[:, None, None] * n + found.codes.index
        total = torch.zeros(images * n, dtype=torch.float64)
        total.index_add_(0, key.flatten(), found.codes.value.flatten().double())
        places = torch.zeros(images, dtype=torch.float64).index_add_(0, own, found.usable.sum(dim=1).double())
        yield (total.reshape(images, n) / places.clamp_min(1)[:, None]).numpy()


def image_documents(store: ActivationStore, split: Split) -> np.ndarray:
    """The number of each image's document (its prompt), `image`, in the same order."""
    parts = []
    for shard in store.shards(split):
        image, document = store.read(shard, "image")[0].numpy(), store.documents_of(shard)[0].numpy()
        first = np.concatenate([[True], image[1:] != image[:-1]])
        parts.append(document[first])
    return np.concatenate(parts)
