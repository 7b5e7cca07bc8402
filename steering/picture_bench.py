"""The bench levers on pictures are compared on: the same prompts and seeds in every arm, read by rules.

An oracle says of pictures what a lever did; it never sees an activation. The edits of an arm may differ from
picture to picture (each has its own mask), so an arm is told how strongly and gives its edits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probes.addresses import HookPoint, Selector
from probes.hooks import Change, Edit, Where, hooked
from probes.latents import Codes, LatentSpace
from probes.masks import Mask
from probes.operations import Params
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs
from steering.arms import Arm
from steering.doses import Doses, HeatMap, heat_map
from steering.registry import OPERATIONS

Pixels = NDArray[np.float32]


class Judged(NamedTuple):
    """What an oracle says of pictures, `picture` each; see `Doses`."""

    effect: NDArray[np.float64]
    kept: dict[str, NDArray[np.float64]]
    collateral: NDArray[np.float64]
    off_manifold: NDArray[np.float64]


Oracle = Callable[[Pixels, Pixels], Judged]  # of steered pictures, and the same ones unsteered


@dataclass(frozen=True)
class PictureBench:
    """Inputs with one seed per picture, and the pictures they give unsteered, `picture channel height width`."""

    subject: ImageDiffusion
    inputs: ImageInputs
    plain: Pixels

    @classmethod
    def set_up(cls, subject: ImageDiffusion, inputs: ImageInputs) -> PictureBench:
        """Draw the unsteered pictures once."""
        return cls(subject, inputs, subject.generate(inputs).images.numpy())

    def draw(self, arm: Arm, strength: float) -> Pixels:
        """The pictures under an arm, from the same noise as the unsteered ones."""
        with hooked(self.subject, write=arm.edits(strength) if arm.edits else []):
            return self.subject.generate(self.inputs).images.numpy()

    def doses(self, arm: Arm, strengths: Sequence[float], oracle: Oracle) -> Doses:
        """An arm at every strength, judged picture by picture."""
        judged = [oracle(self.draw(arm, strength), self.plain) for strength in strengths]
        kept = {name: np.stack([found.kept[name] for found in judged]) for name in judged[0].kept}
        effect, collateral, off = (
            np.stack([getattr(found, name) for found in judged]) for name in ("effect", "collateral", "off_manifold")
        )
        return Doses(arm.name, tuple(strengths), effect, kept, collateral, off)

    def heat_map(
        self, arm: Arm, windows: Sequence[tuple[float, float]], strengths: Sequence[float], oracle: Oracle
    ) -> HeatMap:
        """An arm's effect where it acts in one noise window only, for every window and strength."""
        return heat_map({window: self.doses(within(arm, window), strengths, oracle) for window in windows})


def within(arm: Arm, noise: tuple[float, float], branch: str | None = None) -> Arm:
    """The same arm in one noise window (and on another guidance branch) only."""

    def edits(strength: float) -> list[Edit]:
        update = {"noise": noise, **({} if branch is None else {"branch": branch})}
        made = arm.edits(strength) if arm.edits else []
        return [edit._replace(where=Selector(**{**dict(edit.where), **update})) for edit in made]

    return arm._replace(edits=edits)


def elsewhere(arm: Arm, points: Mapping[HookPoint, HookPoint]) -> Arm:
    """The same changes at other hook points. What a residual stream carries does there about as much: such a
    change is no finding about its own level."""

    def edits(strength: float) -> list[Edit]:
        made = arm.edits(strength) if arm.edits else []
        return [edit._replace(point=points.get(edit.point, edit.point)) for edit in made]

    return arm._replace(edits=edits)


def latent_change(space: LatentSpace, weights: Mapping[int, float], operation: str) -> Change:
    """What one operation on weighted latents adds at strength 1, `batch pos d`."""
    apply, latents = OPERATIONS.load(operation), list(weights)
    weight = torch.tensor(list(weights.values()), dtype=torch.float32)

    def change(x: Tensor, where: Where) -> Tensor:
        dz = apply(space.encode(x, latents), space.table, Params())
        return space.change(Codes(dz.index, dz.value * weight.to(x.device), dz.n_latents))

    return change


def masked_arm(
    name: str,
    changes: Mapping[HookPoint, Sequence[tuple[float, Change]]],
    masks: Sequence[Mask] | None = None,
    where: Selector | None = None,
) -> Arm:
    """An arm that adds, at each point, the weighted sum of changes times the strength.

    `masks`: each picture's own, where there are any; a selector's mask is the same for all pictures.
    """

    @cache
    def weights(grid: tuple[int, int]) -> Tensor:
        return torch.stack([mask.weights(grid).flatten() for mask in masks or ()])

    def at(point: HookPoint, strength: float) -> Edit:
        def change(x: Tensor, seen: Where) -> Tensor:
            total = sum((strength * weight * one(x, seen) for weight, one in changes[point]), torch.zeros_like(x))
            if masks is None:
                return total
            assert seen.grid is not None
            return total * weights(seen.grid)[list(seen.items)].to(x.device)[..., None]

        return Edit(point, where or Selector(), change)

    return Arm(name, lambda strength: [at(point, strength) for point in changes])
