"""How the activations of some captions differ from those of others, at each level: what levers are chosen by.

Everything comes from a store of captures, picture by picture; nothing is steered, and no judge is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from concept_graphs.image_codes import images_in, mean_codes
from probes.activations.rows import shard_rows
from probes.activations.store import ActivationStore
from probes.hierarchy.codes import encode_shard
from probes.hierarchy.probe import Level
from probes.hierarchy.selection_map import SelectionMap

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True)
class PictureMeans:
    """Means over the cells and steps of a level's noise band, one row per captured picture: `codes`
    (`picture n_latents`), `activations` (`picture d`), and the `labels` of each picture's caption."""

    level: Level
    codes: Floats
    activations: Floats
    labels: tuple[Mapping[str, Any], ...]

    def where(self, label: str, value: Any) -> Truths:
        """Which pictures have a label of that value, `picture`."""
        return np.array([one.get(label) == value for one in self.labels])

    def contrast(self, on: Truths, off: Truths) -> Contrast:
        """Pictures `on` against pictures `off`. Raises `ValueError` where there is none of one kind."""
        if not on.any() or not off.any():
            raise ValueError("a contrast needs pictures of both kinds")
        codes, rows = (table[on].mean(axis=0) - table[off].mean(axis=0) for table in (self.codes, self.activations))
        means = self.activations[on].mean(axis=0), self.activations[off].mean(axis=0)
        return Contrast(codes, rows, *means)


class Contrast(NamedTuple):
    """Mean codes on minus off (`n_latents`; lengths in the activation, for decoder rows are unit vectors), the
    difference of means (`d`), and both means (`d`)."""

    codes: Floats
    difference: Floats
    on: Floats
    off: Floats

    def strongest(self, count: int, sign: int = 1) -> list[int]:
        """The latents that rise most (fall most, with sign −1), at most `count` and none that does not."""
        rise = sign * self.codes
        return [int(latent) for latent in np.argsort(-rise, kind="stable")[:count] if rise[latent] > 0]

    def turned(self, seed: int) -> Contrast:
        """The same with a difference of means as long in a random direction."""
        drawn = np.random.default_rng(seed).standard_normal(self.difference.shape)
        return self._replace(difference=drawn * (np.linalg.norm(self.difference) / np.linalg.norm(drawn)))

    def largest(self, count: int) -> list[int]:
        """The latents that change most, whichever way, at most `count` and none that does not."""
        size = np.abs(self.codes)
        return [int(latent) for latent in np.argsort(-size, kind="stable")[:count] if size[latent] > 0]


def picture_means(store: ActivationStore, level: Level) -> PictureMeans:
    """Encode a store of pictures at a level, both splits, and average each picture's codes and activations."""
    codes: list[Floats] = []
    rows: list[Floats] = []
    labels: list[Mapping[str, Any]] = []
    for shard in range(len(store.index.shards)):
        codes.append(mean_codes(store, encode_shard(store, shard, level)))
        x, usable = shard_rows(store, shard, level.places, level.rows)
        document, _ = store.documents_of(shard)
        own, first = images_in(store, shard)
        inside = usable.double()
        count = torch.zeros(len(first), dtype=torch.double).index_add_(0, own, inside.sum(dim=1)).clamp_min(1)
        by_frame = (x.double() * inside[..., None]).sum(dim=1)
        summed = torch.zeros(len(first), x.shape[-1], dtype=torch.double).index_add_(0, own, by_frame)
        rows.append((summed / count[:, None]).numpy())
        labels += [store.index.documents[int(document[at])].labels for at in first]
    return PictureMeans(level, np.concatenate(codes), np.concatenate(rows), tuple(labels))


def along_edges(found: SelectionMap, above: Mapping[int, float], typical: Tensor, count: int) -> dict[int, float]:
    """The latents of the lower level that the edges of a map lead to from latents `above`, and how much of each.

    Amounts are in typical activations, above as below: Σ weight · amount above, over the edges. At most `count`
    latents, those that add the longest changes; none where no edge leads down. `typical`: `n_latents` below.
    """
    down: dict[int, float] = {}
    edges = zip(found.source.tolist(), found.target.tolist(), found.weight.tolist(), strict=True)
    for source, target, weight in edges:
        if target in above:
            down[source] = down.get(source, 0.0) + weight * above[target]
    best = sorted(down, key=lambda latent: -abs(down[latent] * float(typical[latent])))[:count]
    return {latent: down[latent] for latent in best if down[latent] != 0}
