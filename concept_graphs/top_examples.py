"""The strongest rows of every latent of a level at once, streamed: memory is latents x examples, whatever is read."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from probes.activations.store import ActivationStore, Split
from probes.hierarchy.codes import ShardCodes, encoded
from probes.hierarchy.probe import Level
from probes.kernels.choice import kernels_for
from probes.kernels.strongest import NOBODY, Best, Firings


def strongest_of(found: Firings, n_latents: int, count: int) -> Best:
    """Per latent its largest values, at most one per document, strongest first."""
    best = Best.none(n_latents, count)
    kernels_for().keep_strongest(found, best)
    return best


class TopExamples:
    """Filled shard by shard with the codes of a split, in the order of its shards, while others read the same codes.

    `best.place`: chunk · rows per chunk + row, chunks counted over what was added; `best.document`: number in the
    store's index. A bounded list per latent is exact: what was pushed out was weaker than all that stayed.
    """

    def __init__(self, n_latents: int, count: int) -> None:
        self.best = Best.none(n_latents, count)
        self._seen, self._rows = 0, 1

    def add(self, part: ShardCodes, document: Tensor) -> None:
        """`document`: `chunk`, the number of each chunk's document."""
        chunk, row, at = part.codes.active.nonzero(as_tuple=True)
        self._rows = part.usable.shape[1]
        found = Firings(
            part.codes.index[chunk, row, at].numpy(),
            part.codes.value[chunk, row, at].numpy(),
            ((self._seen + chunk) * self._rows + row).numpy(),
            document[chunk].numpy().astype(np.int64),
        )
        kernels_for().keep_strongest(found, self.best)
        self._seen += len(part.usable)

    def places(self, latent: int) -> list[tuple[int, int]]:
        """(chunk, row) of a latent's strongest rows, the strongest first."""
        held = self.best.place[latent]
        return [divmod(int(place), self._rows) for place in held[held != NOBODY]]


def top_examples(store: ActivationStore, split: Split, level: Level, count: int) -> TopExamples:
    """Of all latents of a level over a split."""
    found = TopExamples(level.space.n_latents, count)
    for part in encoded(store, split, level):
        found.add(part, store.documents_of(part.shard)[0])
    return found
