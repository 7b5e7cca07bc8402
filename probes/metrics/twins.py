"""Concepts that a graph cannot tell apart, and whether they are recovered at least as a block.

Two parts of exactly the same wholes are twins: exchanging or mixing them leaves every edge as it is, so structure
identifies no more than what they span (methods/causal-minimality, section 5.6).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from probes.metrics.recovery import correlations
from probes.worlds.world import Flags

Floats = NDArray[np.float64]
PENALTY = 1e-3  # of the ridge, per row


def twin_classes(parts: Flags) -> list[list[int]]:
    """Groups of two or more lower concepts with the same column of `high low`, ascending."""
    groups: dict[bytes, list[int]] = {}
    for concept, column in enumerate(np.ascontiguousarray(parts.T)):
        groups.setdefault(column.tobytes(), []).append(concept)
    return sorted(group for group in groups.values() if len(group) > 1)


def block_r2(
    fitting: tuple[NDArray[np.float32], sparse.csr_matrix],
    scoring: tuple[NDArray[np.float32], sparse.csr_matrix],
    blocks: Sequence[Sequence[int]],
) -> Floats:
    """R² of each block of concepts from its own latents, `block`: the mean over its concepts of a ridge regression
    fitted on one sample of (truth `row concept`, codes `row latent`) and scored on another.

    A latent belongs to the block of the concept it correlates with most in the first sample. A block without latents
    has 0.
    """
    from sklearn.linear_model import Ridge

    nearest = correlations(*fitting).argmax(axis=0)
    found = np.zeros(len(blocks))
    for at, block in enumerate(blocks):
        own = np.flatnonzero(np.isin(nearest, list(block)))
        if not len(own):
            continue
        (truth, codes), (held, unseen) = (
            (part[0][:, list(block)], part[1][:, own].toarray()) for part in (fitting, scoring)
        )
        predicted = Ridge(alpha=PENALTY * len(truth)).fit(codes, truth).predict(unseen).reshape(held.shape)
        spread = np.square(held - held.mean(axis=0)).sum(axis=0)
        found[at] = np.mean(1 - np.square(held - predicted).sum(axis=0) / np.maximum(spread, 1e-12))
    return found
