"""What worlds of three levels share: their sizes, who is a part of whom, and how their modules read a view.

A view with room for all its concepts is read back exactly. One with more concepts than dimensions (superposition)
cannot be: it is read by matched filter on the true directions, and what stays below a threshold counts as off.
Concepts then disturb each other, as in a model, and what the module computed is the truth of the next view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from probes.configs import Frozen
from probes.refusals import Unfit
from probes.worlds.world import Array, Flags, View, World, directions, no_members

NAMES = ("low", "middle", "high")
Direction = Literal["composes", "generates"]

# Concepts per level of the worlds that results are reported on; the last has 76 in three levels.
SIZES: Mapping[str, Mapping[str, int]] = {
    "24/10/4": {"low": 24, "middle": 10, "high": 4, "d_model": 48},
    "32/12/5": {"low": 32, "middle": 12, "high": 5, "d_model": 48},
    "48/20/8": {"low": 48, "middle": 20, "high": 8, "d_model": 64},
}


class LayersConfig(Frozen):
    """Three levels of concepts, and what each is a part of."""

    low: int = Field(default=24, description="Concepts of the lowest level.", ge=4, le=2000)
    middle: int = Field(default=10, description="Concepts of the middle level.", ge=2, le=1000)
    high: int = Field(default=4, description="Concepts of the highest level.", ge=1, le=500)
    d_model: int = Field(
        default=48, description="Dimensions of every view; fewer than concepts puts them on top of each other.", ge=2
    )
    shared: float = Field(default=0.33, description="Extra edges, as a share of those every part needs.", ge=0, le=2)
    twins: int = Field(default=0, description="Pairs of lowest concepts that are parts of exactly the same.", ge=0)
    spread: float = Field(default=0.2, description="Standard deviation of the logarithm of a strength.", ge=0, le=5)
    carried: float = Field(default=0.0, description="How much of a view also goes straight on to the next.", ge=0, le=2)
    noise: float = Field(default=0.02, description="Standard deviation of the noise per dimension.", ge=0)
    read_above: float = Field(
        default=0.5, description="What a matched filter reads below this is off; a typical strength is 1.", ge=0
    )

    @property
    def computed(self) -> tuple[int, ...]:
        """Concepts of every view that is computed from another one."""
        raise NotImplementedError

    # What no world could be made of is refused here: a world is made only once its run has begun.
    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if 2 * self.twins > self.low:
            raise Unfit("twins", f"{self.twins} pairs need {2 * self.twins} of {self.low} concepts of the lowest level")
        if self.carried and max(self.computed) >= self.d_model:
            raise Unfit(
                "carried",
                f"the {max(self.computed)} concepts of a view fill its {self.d_model} dimensions and leave no room for "
                "what is carried; it must be 0, or d_model higher",
            )
        return self


class Layered(World, Protocol):
    """A world of levels, and which way its module computes them."""

    config: LayersConfig
    direction: Direction


def views_of(config: LayersConfig, random: np.random.Generator) -> tuple[View, ...]:
    """The three views, lowest first."""
    sizes = (config.low, config.middle, config.high)
    rows = [evened(directions(random, n, config.d_model)) for n in sizes]
    return tuple(View(*both, no_members(len(both[1]))) for both in zip(NAMES, rows, strict=True))


def evened(rows: Array, rounds: int = 20) -> Array:
    """Unit rows `n d`, n > d, turned towards a tight frame: in no dimension do they crowd, so that a matched filter
    errs as little on average as it can (the mean squared cosine is near Welch's bound). Fewer rows stay as they are.
    """
    if len(rows) <= rows.shape[1]:
        return rows
    for _ in range(rounds):
        left, _, right = np.linalg.svd(rows, full_matrices=False)
        rows = left @ right
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows, dtype=np.float32)


def parts_of(config: LayersConfig, random: np.random.Generator) -> tuple[Flags, ...]:
    """Per pair of neighbouring levels, lowest first, `high low`."""
    return (
        graph(random, config.low, config.middle, config.shared, twins=config.twins),
        graph(random, config.middle, config.high, config.shared),
    )


def graph(random: np.random.Generator, low: int, high: int, shared: float, *, twins: int = 0) -> Flags:
    """`high low`: every part has a whole and every whole at least two parts; then `shared` more edges.

    `twins` of the parts are parts of exactly what another, each another one, is a part of.
    """
    single = low - twins
    edges = np.zeros((high, single), dtype=np.bool_)
    order = random.permutation(single)
    for at, part in enumerate(order):
        edges[at % high, part] = True
    for whole in range(high):
        while edges[whole].sum() < 2:
            edges[whole, random.integers(single)] = True
    for _ in range(round(shared * single)):
        edges[random.integers(high), random.integers(single)] = True
    if not twins:
        return edges
    doubled = np.concatenate([edges, edges[:, random.choice(single, twins, replace=False)]], axis=1)
    return np.asarray(doubled[:, random.permutation(low)])


class Reader:
    """Views `... d` to codes `... n`, by their true directions `n d`."""

    def __init__(self, rows: Tensor, above: float) -> None:
        self.exact = len(rows) <= rows.shape[1]
        self._rows = torch.linalg.pinv(rows) if self.exact else rows.T
        self._above = above

    def __call__(self, view: Tensor) -> Tensor:
        read = view @ self._rows
        return read.clamp_min(0) if self.exact else torch.where(read > self._above, read, 0.0)


def straight_on(rows: Sequence[Tensor], carried: float, random: np.random.Generator) -> list[Tensor]:
    """What of the view before goes straight on to each of the views with these directions `n d`, as maps `d d`.

    It goes where no direction of the new view is touched: it can be seen but not misread. A config sees to it that
    there is such a place.
    """
    return [carried * _beside(some, random) for some in rows]


def _beside(rows: Tensor, random: np.random.Generator) -> Tensor:
    d = rows.shape[1]
    turn = torch.from_numpy(np.linalg.qr(random.normal(size=(d, d)))[0].astype(np.float32))
    return turn @ (torch.eye(d) - torch.linalg.pinv(rows) @ rows)
