"""Keeping the strongest firings of every latent, one per document: the numpy twin of `loops.keeping`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
NOBODY = -1  # the document of a place nobody holds


class Firings(NamedTuple):
    """All `firing`. place, document: numbers the caller gives to rows and documents, none negative."""

    latent: Array
    value: Array
    place: Array
    document: Array

    def take(self, chosen: Array) -> Firings:
        return Firings(*(part[chosen] for part in self))


class Best(NamedTuple):
    """All `latent example`, strongest first: value 0 and document -1 where fewer documents excite the latent."""

    value: Array
    place: Array
    document: Array

    @classmethod
    def none(cls, n_latents: int, count: int) -> Best:
        places = (np.full((n_latents, count), NOBODY, dtype=np.int64) for _ in range(2))
        return cls(np.zeros((n_latents, count), dtype=np.float32), *places)


def keep_strongest(found: Firings, best: Best) -> None:
    """Let firings take their places in `best`. Of equal values the one that came first stays."""
    found = found.take(found.value > best.value[found.latent, -1])
    touched = np.unique(found.latent)
    if not len(touched):
        return
    held = np.nonzero(best.document[touched] != NOBODY)
    before = touched[held[0]], held[1]
    joined = Firings(before[0], *(part[before] for part in best))
    ranked = _strongest_of_documents(Firings(*map(np.concatenate, zip(joined, found, strict=True))))
    rank = np.arange(len(ranked.latent)) - np.searchsorted(ranked.latent, ranked.latent)
    kept = rank < best.value.shape[1]
    at = ranked.latent[kept], rank[kept]
    for part, new, empty in zip(best, ranked[1:], (0, NOBODY, NOBODY), strict=True):
        part[touched] = empty
        part[at] = new[kept]


def _strongest_of_documents(found: Firings) -> Firings:
    """The largest of each latent and document, by latent and then falling value."""
    order = np.lexsort((-found.value, found.document, found.latent))
    same = (np.diff(found.latent[order]) == 0) & (np.diff(found.document[order]) == 0)
    first = order[np.concatenate([[True], ~same])]
    return found.take(first[np.lexsort((first, -found.value[first], found.latent[first]))])
