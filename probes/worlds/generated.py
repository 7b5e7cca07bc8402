"""The twin of the storeys that runs the other way: high concepts are drawn first, and each turns on some of its
parts (noisy-OR, as in hierarchies of causes). Nothing is selected.

Given its wholes a part depends on no other part, where in a world of selection parts of a whole depend on each
other: which of the two readings of an edge fits is known here. The module computes every lower view from the one
above. What is left to chance is drawn beforehand and fed to it, so that with the same draws an intervention changes
what it causes and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from probes.addresses import HookPoint
from probes.configs import Variant
from probes.subjects.module import ModuleSubject
from probes.worlds.layers import NAMES, Direction, LayersConfig, Reader, parts_of, straight_on, views_of
from probes.worlds.mixture import noisy
from probes.worlds.world import Array, Flags, Sample, View, generators


class GeneratedConfig(LayersConfig, Variant):
    """Three levels of concepts, each turned on by concepts of the one above."""

    kind: Literal["generated"] = Field(default="generated", description="Its world.")
    active: float = Field(default=1.5, description="Highest concepts on in a row, on average.", gt=0)
    given: float = Field(default=0.7, description="How often a whole that is on turns a part on.", gt=0, le=1)
    alone: float = Field(default=0.02, description="How often a part is on that no whole turned on.", ge=0, lt=1)

    @property
    def computed(self) -> tuple[int, ...]:
        return self.low, self.middle


class Generated:
    """The world: three views, lowest first, though the highest is made first."""

    Config = Options = GeneratedConfig
    direction: Direction = "generates"

    def __init__(self, config: GeneratedConfig, seed: int) -> None:
        self.config = config
        random = generators(seed, "graph")
        self.views = views_of(config, random)
        self.parts = parts_of(config, random)
        self.module = Descend(self.views, self.parts, config, random)

    def draw(self, rows: int, seed: int) -> Sample:
        """`rows` rows; a row's inputs are the highest codes and what its lower levels leave to chance."""
        config, random = self.config, generators(seed, "rows")
        on = random.random((rows, config.high)) < config.active / config.high
        drawn = [on * random.lognormal(0, config.spread, on.shape)]
        for n in (config.middle, config.low):
            drawn += [random.random((rows, n)), random.lognormal(0, config.spread, (rows, n))]
        inputs: Array = np.concatenate(drawn, axis=1).astype(np.float32)
        with torch.no_grad():
            codes, views = self.module.descend(torch.from_numpy(inputs))
        seen = tuple(noisy(view.numpy(), config.noise, random) for view in reversed(views))
        return Sample(seen, tuple(part.numpy() for part in reversed(codes)), inputs)

    def subject(self) -> ModuleSubject:
        """Fed with a sample's inputs; its points are the three views in the order they are computed, highest first."""
        points = [HookPoint(path=name) for name in reversed(NAMES)]
        return ModuleSubject(self.module, name="generated", points=points)


class Descend(nn.Module):
    """Inputs `... high + 2 middle + 2 low` to the lowest view. Of each lower level come first the uniform draws that
    decide what is on, then strengths."""

    def __init__(
        self, views: Sequence[View], parts: Sequence[Flags], config: GeneratedConfig, random: np.random.Generator
    ) -> None:
        super().__init__()
        down = list(reversed(views))
        self.names = [view.name for view in down]
        self.rows = [torch.from_numpy(view.directions) for view in down]
        self.readers = [Reader(rows, config.read_above) for rows in self.rows]
        self.parts = [torch.from_numpy(some.astype(np.float32)) for some in reversed(parts)]
        self.straight = straight_on(self.rows[1:], config.carried, random)
        self.config = config
        for name in self.names:
            self.add_module(name, nn.Identity())

    def forward(self, inputs: Tensor) -> Tensor:
        return self.descend(inputs)[1][-1]

    def descend(self, inputs: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """(codes, views) of every level, highest first."""
        sizes = [len(rows) for rows in self.rows]
        codes, *draws = inputs.split([sizes[0], *(n for n in sizes[1:] for _ in range(2))], dim=-1)
        view: Tensor = self.get_submodule(self.names[0])(codes @ self.rows[0])
        found, views = [codes], [view]
        for at, name in enumerate(self.names[1:]):
            chance, strength = draws[2 * at : 2 * at + 2]
            on = (self.readers[at](view) > self.config.read_above).float()
            left_off = (1 - self.config.alone) * (1 - self.config.given) ** (on @ self.parts[at])
            codes = (chance < 1 - left_off) * strength
            view = self.get_submodule(name)(codes @ self.rows[at + 1] + view @ self.straight[at])
            found.append(codes)
            views.append(view)
        return found, views
