"""Levels and the maps between them, trained on together after each was trained alone.

Every level goes on under its own tasks and constraints; each map is fitted to the codes as they come; and the
higher codes are pulled towards what the map makes of the lower ones. The pull reaches higher codes only: nothing
of it arrives at the level below, neither through the loss nor through clipping, which is done by level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import Field
from scipy import sparse
from torch import Tensor, nn

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.fitting import DictionaryConfig, objective_of
from probes.configs import Frozen
from probes.constraints.registry import CONSTRAINTS
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.fit_maps import MapConfig, candidates_of, typical_sizes
from probes.hierarchy.selection_map import GatedMap, Selected
from probes.tasks.registry import TASKS
from probes.training.loop import OptimiserConfig
from probes.training.objective import Batch, Component, Objective, ParameterGroup, Part, Terms, component
from probes.training.schedules import constant, ramp

SAMPLE_ROWS = 16_384  # of a higher level, that sources are chosen from
Codes = Mapping[str, Tensor]


class JointConfig(Frozen):
    """Train all levels on together, higher codes pulled towards what their parts select."""

    train: bool = Field(default=False, description="Do so; otherwise levels are trained alone and maps after them.")
    pull: float = Field(default=0.2, description="Weight of the pull on higher codes (β').", ge=0, le=100)
    selection: float = Field(default=1.0, description="Weight of fitting the maps (β).", gt=0, le=100)
    edge_price: float = Field(default=0.003, description="Price of an open gate (γ).", ge=0, le=100)
    start: float = Field(default=0.25, description="Share of steps before gates cost and codes are pulled.", ge=0, le=1)
    map_rate: float = Field(default=0.03, description="Peak learning rate of the maps.", gt=0, le=1)
    optimiser: OptimiserConfig = Field(
        default=OptimiserConfig(steps=600, batch=128, learning_rate=1e-3),
        description="How they are trained on; a batch counts rows of the highest level.",
    )


class Between(NamedTuple):
    """Which latents a map leads from and to, and one typical activation of each: `source` and `target`."""

    low: str
    high: str
    sources: Tensor
    targets: Tensor
    source_size: Tensor
    target_size: Tensor

    @property
    def name(self) -> str:
        return f"{self.low}-{self.high}"


class Hierarchy(nn.Module):
    """Trainable levels by name, lowest first, and a gated map between neighbours, `low-high`."""

    def __init__(
        self, levels: Mapping[str, TrainableAutoencoder], between: list[Between], maps: list[GatedMap], *, pace: float
    ) -> None:
        super().__init__()
        self.levels, self.maps = nn.ModuleDict(levels), nn.ModuleDict()
        self.between, self.pace = between, pace
        for pair, found in zip(between, maps, strict=True):
            self.maps[pair.name] = found
        self.steps_seen: Tensor
        self.register_buffer("steps_seen", torch.tensor(0))

    def part(self, name: str) -> Any:
        """A level or a map by name."""
        return self.levels[name] if name in self.levels else self.maps[name]

    def represent(self, batch: Batch) -> dict[str, Encoded | Selected]:
        """What every level and map makes of a batch of `NestedRows`."""
        seen: dict[str, Any] = {name: self.part(name).represent({"x": batch[name]}) for name in self.levels}
        for pair in self.between:
            low, high = codes_between(self.levels, seen, batch, pair.low, pair.high)
            given = {
                "low": low[:, pair.sources] / pair.source_size,
                "high": high[:, pair.targets] / pair.target_size,
                "step": self.steps_seen,
            }
            seen[pair.name] = self.part(pair.name).represent(given)
        return seen

    def groups(self) -> list[ParameterGroup]:
        """Each level by itself, so that clipping carries nothing from one to the other; then the maps."""
        levels = [ParameterGroup(list(level.parameters())) for level in self.levels.values()]
        return [*levels, ParameterGroup(list(self.maps.parameters()), self.pace)]

    def before_step(self) -> None:
        for name in self.levels:
            self.part(name).before_step()

    def after_step(self) -> None:
        for name in self.levels:
            self.part(name).after_step()
        self.steps_seen += 1

    def project(self) -> None:
        for name in self.levels:
            self.part(name).project()

    def gauges(self) -> dict[str, float]:
        """Those of each level, under its name."""
        return {f"{name}.{key}": value for name in self.levels for key, value in self.part(name).gauges().items()}


def codes_between(levels: Any, seen: Mapping[str, Any], batch: Batch, low: str, high: str) -> tuple[Tensor, Tensor]:
    """(lower codes `row n_low`, max-pooled and without gradient; higher codes `row n_high`), both dense, of the
    higher rows that have a lower one in them."""
    below, above = (_dense(seen[name], levels[name].n_latents) for name in (low, high))
    below = below.detach()
    inside = batch[f"{low}.above"] >= 0
    place = batch[f"{low}.above"][inside]
    nothing = below.new_zeros(len(above), below.shape[1])
    pooled = nothing.scatter_reduce_(0, place[:, None].expand(-1, below.shape[1]), below[inside], "amax")
    rows = torch.zeros(len(above), dtype=torch.bool, device=place.device).index_fill_(0, place, True)
    return pooled[rows], above[rows]


def _dense(seen: Encoded, n: int) -> Tensor:
    if seen.index is None:
        return seen.value
    return seen.value.new_zeros(len(seen.value), n).scatter_add(1, seen.index, seen.value)


class Of(Part):
    """A task or constraint of one part of a hierarchy; its terms carry the part's name."""

    def __init__(self, part: Any, name: str) -> None:
        super().__init__(part.config)
        self.part, self.name = part, name
        self.reads = frozenset({name})
        self.given: frozenset[str] = getattr(part, "given", frozenset())

    def loss(self, rep: Hierarchy, seen: Codes, batch: Batch) -> Terms:
        return self._named(self.part.loss(rep.part(self.name), seen[self.name], batch))

    def penalty(self, rep: Hierarchy, seen: Codes) -> Terms:
        return self._named(self.part.penalty(rep.part(self.name), seen[self.name]))

    def certify(self, rep: Hierarchy, seen: Codes) -> dict[str, float]:
        found: dict[str, float] = self.part.certify(rep.part(self.name), seen[self.name])
        return {f"{self.name}.{key}": value for key, value in found.items()}

    def _named(self, terms: Terms) -> Terms:
        return {f"{self.name}.{key}": value for key, value in terms.items()}


def joint_objective(
    levels: Mapping[str, tuple[DictionaryConfig, TrainableAutoencoder]],
    batch_at: Callable[[int], Mapping[str, Tensor]],
    joint: JointConfig,
    maps: MapConfig,
    *,
    batches: int,
    seed: int,
) -> Objective:
    """Trained levels, lowest first, under one objective. Sources of each target are chosen once, by correlation on
    at most `batches` batches. Raises `WorkbenchError` where too few latents fire to fit a map."""
    modules = {name: module for name, (_, module) in levels.items()}
    between, found = [], []
    for number, (codes, low, high) in enumerate(_sampled(modules, batch_at, batches)):
        targets, candidates, _ = candidates_of(codes, maps)
        sources, local = np.unique(candidates, return_inverse=True)
        size = [typical_sizes(part)[kept] for part, kept in ((codes.low, sources), (codes.high, targets))]
        columns = codes.high[:, targets]
        mean = np.asarray(columns.mean(axis=0)).ravel()
        variance = (np.asarray(columns.multiply(columns).mean(axis=0)).ravel() - mean**2) / size[1] ** 2
        between.append(Between(low, high, *(torch.from_numpy(part) for part in (sources, targets)), *map(_float, size)))
        places = torch.from_numpy(local.reshape(candidates.shape))
        found.append(GatedMap(places, _float(np.maximum(variance, 1e-8)), seed=seed * 1000 + number))
    rep = Hierarchy(modules, between, found, pace=joint.map_rate / joint.optimiser.learning_rate)
    start = round(joint.start * joint.optimiser.steps)
    tasks, constraints = [], []
    for name, (config, module) in levels.items():
        own = objective_of(module, config)
        tasks += [_later(part, name, config.optimiser.steps) for part in own.tasks]
        constraints += [_later(part, name, config.optimiser.steps) for part in own.constraints]
    for pair in between:
        many = float(len(pair.targets))  # every gate as hard to move as in a map that is fitted by itself
        tasks.append(_of(component(TASKS, "predict_selection", constant(joint.selection * many)), pair.name))
        price = ramp(joint.edge_price * many, start, start)
        constraints.append(_of(component(CONSTRAINTS, "edge_count", price), pair.name))
        constraints.append(_of(component(CONSTRAINTS, "composability", ramp(joint.pull, start, start)), pair.name))
    return Objective(rep, tasks, constraints)


def _of(made: Component, name: str) -> Component:
    return replace(made, name=f"{name}.{made.name}", part=Of(made.part, name))


def _later(made: Component, name: str, steps: int) -> Component:
    """A component of a level that has these steps behind it."""
    return replace(_of(made, name), weight=lambda step: made.weight(step + steps))


def _float(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


@torch.no_grad()
def _sampled(
    modules: Mapping[str, TrainableAutoencoder], batch_at: Callable[[int], Mapping[str, Tensor]], batches: int
) -> list[tuple[PairedCodes, str, str]]:
    """Codes of neighbouring levels as training sees them, with the names of both."""
    parts: dict[tuple[str, str], list[tuple[sparse.csr_matrix, sparse.csr_matrix]]] = {}
    for step in range(batches):
        batch = batch_at(step)
        seen = {name: module.represent({"x": batch[name]}) for name, module in modules.items()}
        for low, high in pairwise(modules):
            both = codes_between(modules, seen, batch, low, high)
            below, above = (sparse.csr_matrix(part.numpy()) for part in both)
            parts.setdefault((low, high), []).append((below, above))
    found = []
    for (low, high), rows in parts.items():
        below, above = (sparse.vstack(column).tocsr() for column in zip(*rows, strict=True))
        found.append((PairedCodes(below, above, np.zeros(below.shape[0], dtype=np.int64)), low, high))
    return found
