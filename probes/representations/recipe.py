"""What one trained cell rests on, by itself: enough to make its world and its networks again without its grid."""

from __future__ import annotations

from pydantic import Field

from probes.representations.cell import Cell, NetworkConfig, PartOptions
from probes.representations.grid import GridConfig
from probes.representations.scoring import ScoringConfig
from probes.representations.setting import AnyWorld


class Recipe(PartOptions):
    """One cell with its world, its networks, and the rows it is looked at on."""

    cell: Cell = Field(description="Task, constraint, weight, seed of the world and start.")
    world: AnyWorld = Field(description="The world whose factors are known.")
    network: NetworkConfig = Field(description="Networks and their training.")
    scoring: ScoringConfig = Field(description="How many held-out rows there are, and how the cell was scored.")


def recipe_of(config: GridConfig, cell: Cell) -> Recipe:
    """The part of a grid's config that one of its cells rests on."""
    own = {name: values for name, values in config.options.items() if name in (cell.task, cell.constraint)}
    return Recipe(cell=cell, world=config.world, network=config.network, scoring=config.scoring, options=own)
