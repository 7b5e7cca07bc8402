"""One cell of the grid: which task under which constraint, how heavy, from which world and which start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from probes.configs import Frozen, validated
from probes.constraints.registry import CONSTRAINTS
from probes.refusals import Unfit
from probes.registry import Registry
from probes.representations.part import ON, LatentConstraint, LatentTask
from probes.tasks.registry import TASKS
from probes.training.loop import OptimiserConfig

NONE = "none"


def about_representations(table: Registry, kind: str, more: Mapping[str, tuple[str, str]] | None = None) -> Registry:
    """The rows of a table that are about representations."""
    rows = {name: (row.target, row.sentence) for name, row in table.items() if row.load().on == ON}
    return Registry(kind, {**(more or {}), **rows})


GRID_TASKS = about_representations(TASKS, "task of the grid")
GRID_CONSTRAINTS = about_representations(
    CONSTRAINTS,
    "constraint of the grid",
    {NONE: ("probes.representations.cell:NONE", "Nothing: the task alone, which all others are compared with.")},
)


class Cell(Frozen):
    """What is trained once. `seed` makes the world and its rows, `restart` the first weights and the order of rows."""

    task: Annotated[str, GRID_TASKS] = Field(description="What latents must preserve.")
    constraint: Annotated[str, GRID_CONSTRAINTS] = Field(default=NONE, description="What structure they must have.")
    weight: float = Field(
        default=0.0,
        description="Weight of the constraint, in units in which its gradient is as long as the task's.",
        ge=0,
        le=1000,
    )
    seed: int = Field(default=0, description="Seed of the world and of its rows.", ge=0)
    restart: int = Field(default=0, description="Which start, of several on the same rows.", ge=0)

    @property
    def slug(self) -> str:
        """Its name as a file."""
        beside = "" if self.constraint == NONE else f"-{self.constraint}-{self.weight:g}"
        return f"{self.task}{beside}-seed-{self.seed}-start-{self.restart}"


class CellOptimiser(OptimiserConfig):
    """How each cell is trained."""

    steps: int = Field(default=1500, description="Optimiser steps.", ge=1, le=10_000_000)
    batch: int = Field(default=128, description="Rows per step.", ge=2, le=1_048_576)
    clip_norm: float = Field(default=10.0, description="Largest gradient norm; larger ones are scaled down.", gt=0)
    checkpoint_every: int = Field(
        default=1_000_000, description="Steps between checkpoints; a cell is kept whole.", ge=1
    )


class NetworkConfig(Frozen):
    """The networks of a representation, and how they are trained."""

    latents: int = Field(default=0, description="Latents; 0 for as many as the world has factors.", ge=0, le=4096)
    width: int = Field(default=64, description="Width of the hidden layers.", ge=4, le=8192)
    rows: int = Field(default=20_000, description="Rows to train on.", ge=64, le=10_000_000)
    optimiser: CellOptimiser = Field(default=CellOptimiser(), description="How each cell is trained.")
    scale_after: int = Field(
        default=100, description="Steps of the task alone after which the two gradients are compared.", ge=1, le=100_000
    )


class PartOptions(Frozen):
    """Options of tasks and constraints that are not to have their defaults."""

    options: dict[str, dict[str, Any]] = Field(
        default={}, description="Options by the name of a task or constraint, where they are not the defaults."
    )

    @model_validator(mode="after")
    def _known(self) -> PartOptions:
        for name, values in self.options.items():
            if name not in GRID_TASKS and name not in GRID_CONSTRAINTS:
                raise Unfit("options", f"{name[:60]!r} is no task or constraint: name one that is")
            table = GRID_TASKS if name in GRID_TASKS else GRID_CONSTRAINTS
            if name != NONE:
                validated(table.load(name).Config, values, what=f"The options of {name}")
        return self

    def task(self, name: str) -> LatentTask:
        """A task with its options."""
        made: LatentTask = _made(GRID_TASKS, name, self.options)
        return made

    def constraint(self, name: str) -> LatentConstraint | None:
        """A constraint with its options; none where nothing is imposed."""
        return None if name == NONE else _made(GRID_CONSTRAINTS, name, self.options)


def _made(table: Registry, name: str, options: Mapping[str, Mapping[str, Any]]) -> Any:
    part = table.load(name)
    return part(part.Config.model_validate(options.get(name, {})))
