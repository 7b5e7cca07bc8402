"""One world of a grid with its rows: what a cell is trained on, and what it is looked at on."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from probes.representations.cell import NetworkConfig
from probes.representations.rows import GridRows
from probes.representations.scoring import ScoringConfig
from probes.representations.spec import spec_of
from probes.worlds.factors import FactorWorld
from probes.worlds.registry import FACTOR_WORLDS
from probes.worlds.vectors import VectorsConfig

if TYPE_CHECKING:
    AnyWorld = VectorsConfig
else:
    AnyWorld = FACTOR_WORLDS.variants()


class Dials(Protocol):
    """What decides a world and its rows: part of the config of a grid, and of a single representation."""

    @property
    def world(self) -> AnyWorld: ...

    @property
    def network(self) -> NetworkConfig: ...

    @property
    def scoring(self) -> ScoringConfig: ...


class Setting:
    """One world with its rows."""

    def __init__(self, dials: Dials, seed: int) -> None:
        self.seed, self._dials = seed, dials
        self.world = world_of(dials.world, seed)
        self.spec = spec_of(self.world, dials.network.latents, dials.network.width)
        self.held_out = GridRows(self.world.draw(dials.scoring.rows, 2, part="test"))

    @cached_property
    def rows(self) -> GridRows:
        """Rows to train on; whoever only looks at a trained cell never draws them."""
        return GridRows(self.world.draw(self._dials.network.rows, 1))

    @cached_property
    def new(self) -> GridRows | None:
        """Rows of the combinations that training may not see; none where the world holds none out.

        Raises `WorkbenchError` where its rules let hardly any such row through.
        """
        if not holds_out(self._dials.world):
            return None
        other = world_of(self._dials.world.model_copy(update={"combinations": "held_out"}), self.seed)
        return GridRows(other.draw(self._dials.scoring.rows, 3, part="test"))


def holds_out(config: AnyWorld) -> bool:
    """Whether training sees some combinations of factors only, so that rows of the others are drawn too."""
    return getattr(config, "combinations", "all") == "training"


def world_of(config: AnyWorld, seed: int) -> FactorWorld:
    """The world of one seed."""
    world: FactorWorld = FACTOR_WORLDS.load(config.kind)(config, seed)
    return world
