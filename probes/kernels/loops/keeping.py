"""The strongest firings of every latent, kept while they stream by."""

from __future__ import annotations

from probes.kernels.loops.compiling import Array, loop


@loop
def keep_strongest(
    latent: Array,
    value: Array,
    place: Array,
    document: Array,
    best_value: Array,
    best_place: Array,
    best_document: Array,
) -> None:
    """Firings take their places among the best of their latent, one per document, strongest first."""
    last = best_value.shape[1] - 1
    for e in range(len(latent)):
        i, v = latent[e], value[e]
        if not v > best_value[i, last]:
            continue
        at = last
        for j in range(last):
            if best_document[i, j] == document[e]:
                at = j
                break
        if best_document[i, at] == document[e] and best_value[i, at] >= v:
            continue
        while at > 0 and best_value[i, at - 1] < v:
            best_value[i, at] = best_value[i, at - 1]
            best_place[i, at] = best_place[i, at - 1]
            best_document[i, at] = best_document[i, at - 1]
            at -= 1
        best_value[i, at], best_place[i, at], best_document[i, at] = v, place[e], document[e]
