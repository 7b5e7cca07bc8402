"""Companions of a latent: the others of its level that rise most where it is on.

A single latent is often a thin slice of what the subject has in mind there. Its companions, each weighed
by how much it rises, give a lever that moves the concept as it occurs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from probes.activations.store import ActivationStore
from probes.hierarchy.codes import encoded
from probes.hierarchy.probe import Level


def companions_of(
    store: ActivationStore,
    level: Level,
    latents: Sequence[int],
    *,
    count: int = 8,
    max_rows: int = 200_000,
) -> list[dict[int, float]]:
    """Per latent, itself with weight 1 and up to `count` companions with theirs, `{latent: weight}`.

    With Δ the mean code where the latent is on minus the mean elsewhere, companions are the latents with
    the largest positive Δ (decoder rows are unit vectors, so Δ is a length in the activation); the weight
    is Δ / typical, in units of the latent's own, so that a lever adds codes in the proportion they occur.
    """
    if count == 0:
        return [{latent: 1.0} for latent in latents]
    n = level.space.n_latents
    on, total = sparse.csr_matrix((len(latents), n)), np.zeros(n)
    on_rows, rows = np.zeros(len(latents)), 0
    for part in encoded(store, "train", level, max_rows=max_rows):
        codes = part.codes.csr()[part.usable.flatten().numpy()]
        mine = (codes[:, list(latents)] > 0).astype(np.float64)
        on = on + mine.T @ codes  # as wide as what fires together: never tokens or latents by latents
        on_rows += np.asarray(mine.sum(axis=0)).ravel()
        total += np.asarray(codes.sum(axis=0)).ravel()
        rows += codes.shape[0]
    typical = level.space.table.typical.double().numpy()
    return [
        _weights(latent, on[[at]].toarray()[0], on_rows[at], total, rows, typical, count)
        for at, latent in enumerate(latents)
    ]


def _weights(
    latent: int, on: np.ndarray, on_rows: float, total: np.ndarray, rows: int, typical: np.ndarray, count: int
) -> dict[int, float]:
    rise = on / max(on_rows, 1) - (total - on) / max(rows - on_rows, 1)
    if on_rows == 0 or rise[latent] <= 0:
        return {latent: 1.0}
    own = rise[latent] / max(typical[latent], 1e-9)
    best = [int(other) for other in np.argsort(-rise, kind="stable")[: count + 1] if other != latent]
    kept = [other for other in best[:count] if rise[other] > 0 and typical[other] > 0]
    return {latent: 1.0} | {other: float(rise[other] / typical[other] / own) for other in kept}
