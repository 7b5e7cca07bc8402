"""Targeted probe perturbation: removing the few latents of one class should spoil that class's probe and no
other's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from probes.metrics.directions import Floats, fitted_direction, right
from probes.metrics.intervals import Interval
from probes.metrics.metric import Metric
from probes.metrics.removal import SHOWN, SIZES, Means, effects, over_documents, without

Labels = NDArray[np.int64]


def tpp_score(drops: Floats) -> float:
    """`drops` `removed class`: how much each class's accuracy falls when the latents of one are removed. The
    mean over removed classes of its own drop minus the mean of the others'."""
    own = np.diag(drops)
    others = (drops.sum(axis=1) - own) / max(len(drops) - 1, 1)
    return float((own - others).mean())


def targeted_perturbation(
    train: tuple[Means, Labels],
    test: tuple[Means, Labels],
    decoder: NDArray[np.float32],
    *,
    sizes: Sequence[int] = SIZES,
    seed: int = 0,
) -> dict[int, Interval]:
    """TPP by number of removed latents, with an interval over test documents.

    `train`, `test`: chunks and the class of each; each class against all others. A class's latents are those
    that add most to its own probe on training chunks; those that speak against it are left.
    """
    (means, label), (tested, truth) = train, test
    classes = np.unique(label)
    probes = [fitted_direction(means.x, label == one) for one in classes]
    orders = []
    for one, (direction, _) in zip(classes, probes, strict=True):
        added = np.maximum(effects(means.z, label == one, decoder, direction), 0)
        orders.append(np.argsort(-added, kind="stable"))

    def accuracy(x: NDArray[np.floating]) -> Floats:
        """`chunk class`: is each class's probe right?"""
        said = [right(x, truth == one, probe) for one, probe in zip(classes, probes, strict=True)]
        return np.stack(said, axis=1).astype(np.float64)

    def score(mean: Floats) -> float:
        return tpp_score(mean.reshape(len(classes), len(classes)))

    whole = accuracy(tested.x)
    found = {}
    for n in sizes:
        drops = np.stack([whole - accuracy(without(tested, decoder, order[:n])) for order in orders], axis=1)
        columns = drops.reshape(len(truth), -1)  # chunk (removed class)
        found[n] = over_documents(columns, tested.document, score, seed)
    return found


TPP = Metric(
    lambda seen: seen.targeted[SHOWN].value,
    "removed",
    f"accuracy lost by the class aimed at over the others', {SHOWN} latents removed",
    "up",
    -1,
    1,
)
