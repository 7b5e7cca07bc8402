"""Pearson correlations of lower with higher codes, a block of targets at a time.

The product of the sparse codes is dense in latents by latents; of two wide dictionaries it would be larger than
memory. A block takes at most `BUDGET` bytes, so what is held never depends on how wide the dictionaries are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from probes.hierarchy.codes import PairedCodes

BUDGET = 2**28  # bytes of one block, its intermediate results included
PER_ENTRY = 32  # three float64 arrays of the block's shape at a time, and the float32 result


class Correlations:
    """Of every (low, high) pair over the rows of codes; 0 where one of the two is constant."""

    def __init__(self, codes: PairedCodes) -> None:
        self._codes = codes
        self._low, self._high = (_mean_and_deviation(part) for part in (codes.low, codes.high))

    def of_targets(self, targets: np.ndarray) -> np.ndarray:
        """`n_low target`, float32."""
        (mean_low, sd_low), (mean_high, sd_high) = self._low, (part[targets] for part in self._high)
        rows = self._codes.low.shape[0]
        product = (self._codes.low.T @ self._codes.high[:, targets]).toarray() / rows
        product -= np.outer(mean_low, mean_high)
        scale = np.outer(sd_low, sd_high)
        found = np.divide(product, scale, out=np.zeros_like(product), where=scale > 1e-12)
        return np.asarray(found.astype(np.float32))

    def blocks(self, targets: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """(which of the targets, `n_low target`), within the budget."""
        width = max(1, BUDGET // (PER_ENTRY * max(1, self._codes.low.shape[1])))
        for at in range(0, len(targets), width):
            part = slice(at, min(at + width, len(targets)))
            yield part, self.of_targets(targets[part])

    def of_pairs(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """`pair`, float32."""
        targets, place = np.unique(target, return_inverse=True)
        found = np.zeros(len(source), dtype=np.float32)
        for part, block in self.blocks(targets):
            inside = (place >= part.start) & (place < part.stop)
            found[inside] = block[source[inside], place[inside] - part.start]
        return found


def _mean_and_deviation(codes: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    mean = np.asarray(codes.mean(axis=0)).ravel()
    square = np.asarray(codes.multiply(codes).mean(axis=0)).ravel()
    return mean, np.sqrt(np.maximum(square - mean**2, 0))
