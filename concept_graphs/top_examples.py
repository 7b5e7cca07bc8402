"""The strongest rows of every latent of a level at once, streamed: memory is latents x examples, whatever is read."""

from __future__ import annotations

import numpy as np

from probes.activations.store import ActivationStore, Split
from probes.hierarchy.codes import encoded
from probes.hierarchy.probe import Level
from probes.kernels.choice import kernels_for
from probes.kernels.strongest import Best, Firings


def strongest_of(found: Firings, n_latents: int, count: int) -> Best:
    """Per latent its largest values, at most one per document, strongest first."""
    best = Best.none(n_latents, count)
    kernels_for().keep_strongest(found, best)
    return best


def top_examples(store: ActivationStore, split: Split, level: Level, count: int) -> Best:
    """Of all latents of a level over a split. `place`: chunk · rows per chunk + row, chunks counted over the
    split in the order of its shards; `document`: number in the store's index.

    A bounded list per latent is exact: what was pushed out was weaker than all that stayed.
    """
    best, seen = Best.none(level.space.n_latents, count), 0
    for part in encoded(store, split, level):
        chunk, row, at = part.codes.active.nonzero(as_tuple=True)
        documents = np.asarray(store.documents_of(part.shard)[0], dtype=np.int64)
        found = Firings(
            part.codes.index[chunk, row, at].numpy(),
            part.codes.value[chunk, row, at].numpy(),
            ((seen + chunk) * part.usable.shape[1] + row).numpy(),
            documents[chunk.numpy()],
        )
        kernels_for().keep_strongest(found, best)
        seen += len(part.usable)
    return best
