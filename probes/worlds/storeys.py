"""Three storeys built by selection: a high concept is the outcome of a threshold on its parts, and the rows
are those a selection lets through (methods/causal-minimality, sections 5.1 and 6.1; the module is ours).

Codes of the lowest storey are drawn; every higher one is computed from the view below it, so the module
that computes them is a subject whose true edges are known and can be intervened on. Rows are selected by the codes
that were drawn: where views are read with errors, a selected row may come to a forbidden top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from probes.addresses import HookPoint
from probes.configs import Variant
from probes.refusals import Unfit
from probes.subjects.module import ModuleSubject
from probes.worlds.layers import NAMES, Direction, LayersConfig, Reader, parts_of, straight_on, views_of
from probes.worlds.mixture import noisy
from probes.worlds.selection import Composition, Selecting, select
from probes.worlds.world import Sample, View, generators


class StoreysConfig(LayersConfig, Variant):
    """Three storeys of concepts, each made of concepts of the one below."""

    kind: Literal["storeys"] = Field(default="storeys", description="Its world.")
    needed: float = Field(
        default=0.6, description="Share of its parts a concept needs; little is OR, 1 AND.", gt=0, le=1
    )
    active: float = Field(default=3.0, description="Lowest concepts on in a row before selection, on average.", gt=0)
    orphans: float = Field(
        default=2.0, description="How strongly parts without an active whole are selected out.", ge=0
    )
    most: int = Field(default=2, description="Most highest concepts on in a selected row.", ge=1)
    sweeps: int = Field(default=32, description="Sweeps of the sampler behind each row.", ge=1, le=1000)

    @property
    def computed(self) -> tuple[int, ...]:
        return self.middle, self.high

    @model_validator(mode="after")
    def _leaves_some_off(self) -> Self:
        if self.active >= self.low:  # a concept's share of the rows is then no probability below 1
            raise Unfit("active", f"it must be less than the {self.low} concepts of the lowest level")
        return self


class Storeys:
    """The world: three views, and which concept is a part of which."""

    Config = Options = StoreysConfig
    direction: Direction = "composes"

    def __init__(self, config: StoreysConfig, seed: int) -> None:
        self.config = config
        random = generators(seed, "graph")
        self.views = views_of(config, random)
        self.parts = parts_of(config, random)
        self.compositions = tuple(Composition.of(parts, config.needed) for parts in self.parts)
        self.module = Climb(self.views, self.compositions, config, random)

    def draw(self, rows: int, seed: int) -> Sample:
        """`rows` selected rows with all their views."""
        config, random = self.config, generators(seed, "rows")
        share = config.active / config.low
        selecting = Selecting(share, config.spread, config.orphans, config.most, config.sweeps)
        low = select(self.compositions, rows, random, selecting)
        with torch.no_grad():
            codes, views = self.module.climb(torch.from_numpy(low))
        seen = tuple(noisy(view.numpy(), config.noise, random) for view in views)
        return Sample(seen, tuple(part.numpy() for part in codes), low)

    def subject(self) -> ModuleSubject:
        """Fed with codes of the lowest storey; its points are the three views."""
        return ModuleSubject(self.module, name="storeys", points=[HookPoint(path=name) for name in NAMES])


class Climb(nn.Module):
    """Codes `... low` to the highest view; each view is read back, composed, and written as the next."""

    def __init__(
        self,
        views: Sequence[View],
        compositions: Sequence[Composition],
        config: LayersConfig,
        random: np.random.Generator,
    ) -> None:
        super().__init__()
        self.rows = [torch.from_numpy(view.directions) for view in views]
        self.readers = [Reader(rows, config.read_above) for rows in self.rows]
        self.weights = [torch.from_numpy(part.weights) for part in compositions]
        self.thresholds = [torch.from_numpy(part.thresholds) for part in compositions]
        self.straight = straight_on(self.rows[1:], config.carried, random)
        for view in views:
            self.add_module(view.name, nn.Identity())
        self.names = [view.name for view in views]

    def forward(self, codes: Tensor) -> Tensor:
        return self.climb(codes)[1][-1]

    def climb(self, codes: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """(codes, views) of every storey: the lowest codes as given, the others as computed from the view below."""
        view: Tensor = self.get_submodule(self.names[0])(codes @ self.rows[0])
        found, views = [codes], [view]
        for at, name in enumerate(self.names[1:]):
            read = self.readers[at](view)
            codes = (read @ self.weights[at].T - self.thresholds[at]).clamp_min(0)
            view = self.get_submodule(name)(codes @ self.rows[at + 1] + view @ self.straight[at])
            found.append(codes)
            views.append(view)
        return found, views
