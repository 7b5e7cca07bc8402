"""What the two tests by removing latents share (formulas 2D: SCR and TPP, after SAEBench).

Both are done on means over chunks. A mean is linear, so that removing latents from every token, the
reconstruction error kept, subtracts their mean codes times their decoder rows: no pass is needed.
What is ours: chunks in place of short texts, and attributes that the bundled texts have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes.metrics.directions import Floats
from probes.metrics.intervals import Interval, bootstrap

SIZES = (2, 5, 10, 20, 50)
SHOWN = 10  # of these sizes, the one whose score stands for all
Flags = NDArray[np.bool_]


class Means(NamedTuple):
    """Chunks: mean activation `x` `chunk d`, mean codes `z` `chunk latent`, `document` `chunk`."""

    x: NDArray[np.float32]
    z: NDArray[np.float32]
    document: NDArray[np.int64]

    def part(self, rows: NDArray[np.integer] | Flags) -> Means:
        return Means(self.x[rows], self.z[rows], self.document[rows])


class Removed(NamedTuple):
    """Scores by number of removed latents; `levelled` is the spurious attribute's, latents set to their mean."""

    spurious: Mapping[int, Interval]
    levelled: Mapping[int, Interval]
    targeted: Mapping[int, Interval]


def effects(z: NDArray[np.float32], y: Flags, decoder: NDArray[np.float32], direction: Floats) -> Floats:
    """How much each latent moves a probe between the classes, signed, `latent`: the difference of its mean
    codes times its decoder row's component along the probe."""
    difference = z[y].mean(axis=0, dtype=np.float64) - z[~y].mean(axis=0, dtype=np.float64)
    return np.asarray(difference * (decoder @ direction))


def without(
    means: Means, decoder: NDArray[np.float32], latents: NDArray[np.int64], left: NDArray[np.floating] | float = 0.0
) -> NDArray[np.float32]:
    """Mean activations with these latents set to `left` (`latent`, or 0: removed), the reconstruction error
    kept, `chunk d`."""
    level = np.broadcast_to(np.asarray(left, dtype=np.float32), means.z.shape[1:])
    return np.asarray(means.x - (means.z[:, latents] - level[latents]) @ decoder[latents])


def over_documents(
    values: NDArray[np.floating], document: NDArray[np.int64], score: Callable[[Floats], float], seed: int
) -> Interval:
    """A score of the mean row of `chunk column` values, with an interval over whole documents."""
    _, owner = np.unique(document, return_inverse=True)
    sums = np.stack([np.bincount(owner, weights=column) for column in values.T], axis=1)
    table = np.concatenate([sums, np.bincount(owner)[:, None]], axis=1)
    found = bootstrap([table], lambda rows: score(rows[:, :-1].sum(axis=0) / rows[:, -1].sum()), seed=seed)
    return found._replace(n=len(values))
