"""Three storeys built by selection: a high concept is the outcome of a threshold on its parts, and the rows
are those a selection lets through (methods/causal-minimality, sections 5.1 and 6.1; the module is ours).

Codes of the lowest storey are drawn; every higher one is computed from the view below it, so the module
that computes them is a subject whose true edges are known and can be intervened on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from probes.addresses import HookPoint
from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.subjects.module import ModuleSubject
from probes.worlds.mixture import noisy
from probes.worlds.selection import Composition, Selecting, select
from probes.worlds.world import Flags, Sample, View, directions, generators, no_members

NAMES = ("low", "middle", "high")


class StoreysConfig(Frozen):
    """Three storeys of concepts, each made of concepts of the one below."""

    low: int = Field(default=24, description="Concepts of the lowest storey.", ge=4, le=2000)
    middle: int = Field(default=10, description="Concepts of the middle storey.", ge=2, le=1000)
    high: int = Field(default=4, description="Concepts of the highest storey.", ge=1, le=500)
    d_model: int = Field(default=48, description="Dimensions of every view; at least the lowest storey's.", ge=2)
    shared: float = Field(default=0.33, description="Extra edges, as a share of those every part needs.", ge=0, le=2)
    needed: float = Field(
        default=0.6, description="Share of its parts a concept needs; little is OR, 1 AND.", gt=0, le=1
    )
    active: float = Field(default=3.0, description="Lowest concepts on in a row before selection, on average.", gt=0)
    orphans: float = Field(
        default=2.0, description="How strongly parts without an active whole are selected out.", ge=0
    )
    most: int = Field(default=2, description="Most highest concepts on in a selected row.", ge=1)
    spread: float = Field(default=0.2, description="Standard deviation of the logarithm of a strength.", ge=0)
    carried: float = Field(default=0.0, description="How much of a view also goes straight on to the next.", ge=0, le=2)
    noise: float = Field(default=0.02, description="Standard deviation of the noise per dimension.", ge=0)
    sweeps: int = Field(default=12, description="Gibbs sweeps behind each row.", ge=1, le=1000)


class Storeys:
    """The world: three views, and which concept is a part of which."""

    Config = StoreysConfig

    def __init__(self, config: StoreysConfig, seed: int) -> None:
        self.config = config
        sizes = (config.low, config.middle, config.high)
        if max(sizes) > config.d_model:
            raise WorkbenchError(
                "bad-world",
                "The storeys cannot be told apart",
                f"{max(sizes)} concepts do not fit {config.d_model} dimensions",
                "Raise d_model: each view is read back exactly to compute the next.",
            )
        random = generators(seed, "graph")
        rows = [directions(random, n, config.d_model) for n in sizes]
        self.views = tuple(View(*both, no_members(len(both[1]))) for both in zip(NAMES, rows, strict=True))
        pairs = pairwise(sizes)
        self.parts: tuple[Flags, ...] = tuple(graph(random, low, high, config.shared) for low, high in pairs)
        self.compositions = tuple(Composition.of(parts, config.needed) for parts in self.parts)
        self.module = Climb(self.views, self.compositions, config.carried, random)

    def draw(self, rows: int, seed: int) -> Sample:
        """`rows` selected rows with all their views."""
        config, random = self.config, generators(seed, "rows")
        share = config.active / config.low
        selecting = Selecting(share, config.spread, config.orphans, config.most, config.sweeps)
        low = select(self.compositions, rows, random, selecting)
        with torch.no_grad():
            codes, views = self.module.climb(torch.from_numpy(low))
        seen = tuple(noisy(view.numpy(), config.noise, random) for view in views)
        return Sample(seen, tuple(part.numpy() for part in codes))

    def subject(self) -> ModuleSubject:
        """Fed with codes of the lowest storey; its points are the three views."""
        return ModuleSubject(self.module, name="storeys", points=[HookPoint(path=name) for name in NAMES])


class Climb(nn.Module):
    """Codes `... low` to the highest view; each view is read back, composed, and written as the next."""

    def __init__(
        self, views: Sequence[View], compositions: Sequence[Composition], carried: float, random: np.random.Generator
    ) -> None:
        super().__init__()
        self.rows = [torch.from_numpy(view.directions) for view in views]
        self.reading = [torch.linalg.pinv(rows) for rows in self.rows]
        self.weights = [torch.from_numpy(part.weights) for part in compositions]
        self.thresholds = [torch.from_numpy(part.thresholds) for part in compositions]
        self.straight = [carried * _beside(rows, random) for rows in self.rows[1:]]
        for view in views:
            self.add_module(view.name, nn.Identity())
        self.names = [view.name for view in views]

    def forward(self, codes: Tensor) -> Tensor:
        return self.climb(codes)[1][-1]

    def climb(self, codes: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """(codes, views) of every storey; codes are those read back from the view."""
        view: Tensor = self.get_submodule(self.names[0])(codes @ self.rows[0])
        found, views = [codes], [view]
        for at, name in enumerate(self.names[1:]):
            read = (view @ self.reading[at]).clamp_min(0)
            codes = (read @ self.weights[at].T - self.thresholds[at]).clamp_min(0)
            view = self.get_submodule(name)(codes @ self.rows[at + 1] + view @ self.straight[at])
            found.append(codes)
            views.append(view)
        return found, views


def _beside(rows: Tensor, random: np.random.Generator) -> Tensor:
    """A random map `d d` into what no direction of `rows` `n d` touches: it can be seen but not misread."""
    d = rows.shape[1]
    turn = torch.from_numpy(np.linalg.qr(random.normal(size=(d, d)))[0].astype(np.float32))
    return turn @ (torch.eye(d) - torch.linalg.pinv(rows) @ rows)


def graph(random: np.random.Generator, low: int, high: int, shared: float) -> Flags:
    """`high low`: every part has a whole and every whole at least two parts; then `shared` more edges."""
    edges = np.zeros((high, low), dtype=np.bool_)
    order = random.permutation(low)
    for at, part in enumerate(order):
        edges[at % high, part] = True
    for whole in range(high):
        while edges[whole].sum() < 2:
            edges[whole, random.integers(low)] = True
    for _ in range(round(shared * low)):
        edges[random.integers(high), random.integers(low)] = True
    return edges
