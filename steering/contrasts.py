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
    codes: list[Tensor] = []
    rows: list[Tensor] = []
    labels: list[Mapping[str, Any]] = []
    for shard in range(len(store.index.shards)):
        encoded = encode_shard(store, shard, level)
        x, usable = shard_rows(store, shard, level.places, level.rows)
        image = store.read(shard, "image")[0].long()
        document, _ = store.documents_of(shard)
        numbers, place = image.unique(return_inverse=True)
        inside = usable.float()
        count = torch.zeros(len(numbers)).index_add_(0, place, inside.sum(dim=1)).clamp_min(1)[:, None]
        width = level.space.n_latents
        frames = zip(encoded.codes.value, encoded.codes.index, strict=True)
        by_frame = torch.stack([_summed(value, index, width) for value, index in frames])
        codes.append(torch.zeros(len(numbers), width).index_add_(0, place, by_frame) / count)
        by_frame = (x.float() * inside[..., None]).sum(dim=1)
        rows.append(torch.zeros(len(numbers), x.shape[-1]).index_add_(0, place, by_frame) / count)
        first = [int((image == number).nonzero()[0]) for number in numbers]
        labels += [store.index.documents[int(document[at])].labels for at in first]
    return PictureMeans(level, torch.cat(codes).double().numpy(), torch.cat(rows).double().numpy(), tuple(labels))


def _summed(value: Tensor, index: Tensor, width: int) -> Tensor:
    """Sum over rows of sparse codes `row width`, `n_latents`."""
    return torch.zeros(width).index_add_(0, index.flatten(), value.flatten())


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
