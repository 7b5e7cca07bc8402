"""What a backend is: a training recipe that a command, a form and a test can all read from one row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from probes.activations.store import ActivationStore
from probes.configs import Frozen
from probes.devices import batches_on
from probes.runs import Run
from probes.training.loop import OptimiserConfig
from probes.training.objective import Objective


class Card(Frozen):
    """Where a recipe comes from, and which of its choices are whose."""

    title: str = Field(description="Its name for people.")
    paper: str = Field(description="The work it follows.")
    from_the_paper: str = Field(description="Design choices taken from there.")
    our_reconstruction: str = Field(description="Design choices that are ours.")
    task: str = Field(description="What is preserved.")
    constraint: str = Field(description="What structure is imposed.")


class Stage(NamedTuple):
    """One objective of a recipe, with its batches by step, how it is optimised and how many rows there are."""

    name: str
    rows: int
    objective: Objective
    batch_at: Callable[[int], Mapping[str, Tensor]]
    optimiser: OptimiserConfig

    def on(self, device: torch.device) -> Stage:
        """The same stage with what is trained, and every batch, on a device."""
        self.objective.module().to(device)
        return self._replace(batch_at=batches_on(device, self.batch_at))


@dataclass(frozen=True)
class Backend:
    """A training recipe.

    `Config` has the fields `name`, `store`, `seed` and `backend`, the last fixed to the row's name;
    `presets` are partial values of it by size. `stages` builds, one after the other and on the data alone,
    what is trained first; `work` does the whole job in a run and returns the artefact, or None when it was
    asked to stop. `several`: whether several processes may call `work` together, each on the same run; all but
    the first have a follower of it and return None.
    """

    card: Card
    Config: type[BaseModel]
    presets: Mapping[str, Mapping[str, Any]]
    stages: Callable[[Any, ActivationStore], Iterator[Stage]]
    work: Callable[[Any, Run], Path | None]
    several: bool = False
