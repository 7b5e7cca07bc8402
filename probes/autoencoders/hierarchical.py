"""The hierarchical autoencoder: nested widths are levels, and a selection map leads from each to the next.

Our own design (DESIGN section 5, inside one dictionary). The first block holds the highest concepts; later ones
hold their parts. Gates learn which parts select which concept, at a price per open gate. What keeps parts from
absorbing their whole is that the narrow widths have to rebuild the row: weighted by 0.2 they left twice as much
absorbed as by 1, in two strict hierarchies other than the one the worlds' suite scores.

A concept whose parts fire can also be asked to fire. That pull reaches the higher latents only: lower codes enter
it without gradient, since the symmetric pull was measured to cost the lower level; a parent may fire without its
children. It is off unless asked for: in the same two worlds no less was absorbed with it, and more where the
prefix weight was small.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from probes.autoencoders.block_map import BlockMap
from probes.autoencoders.encoded import Block, Encoded
from probes.autoencoders.matryoshka import MatryoshkaAutoencoder, NestedOptions
from probes.constraints.registry import CONSTRAINTS
from probes.errors import WorkbenchError
from probes.hierarchy.selection_map import keep_rule
from probes.latents import LatentEdges
from probes.tasks.registry import TASKS
from probes.training.objective import Component, component
from probes.training.randomness import generator
from probes.training.schedules import ramp

MOST_GATES = 2**26


class HierarchicalOptions(NestedOptions):
    """Nested widths are levels; a gated map says which lower latents select a higher one."""

    kind: Literal["hierarchical"] = Field(default="hierarchical", description="Its architecture.")
    widths: tuple[float, ...] = Field(
        default=(1 / 32, 1 / 8), description="Widths of the higher levels, as increasing shares of the latents."
    )
    selection: float = Field(default=1.0, description="Weight of fitting the maps between levels.", ge=0, le=100)
    edge_price: float = Field(default=0.003, description="Price of an open gate.", ge=0, le=100)
    coverage: float = Field(default=0.0, description="Pull on parents whose children fire; 0 is none.", ge=0, le=100)
    start: float = Field(
        default=0.25, description="Share of steps before gates cost and parents are pulled.", ge=0, le=1
    )
    every: int = Field(default=4, description="Fit the maps on one row in this many.", ge=1, le=1024)


class Inner(NamedTuple):
    """One map inside the dictionary: which latents it leads from and to, and its weights `n_low n_high`."""

    low: range
    high: range
    weights: Tensor


class HierarchicalAutoencoder(MatryoshkaAutoencoder):
    """Matryoshka BatchTopK with a selection map from each block to the one before it."""

    Options = HierarchicalOptions
    options: HierarchicalOptions
    steps_seen: Tensor

    def build(self) -> None:
        super().build()
        if len(self.widths) < 2:
            raise WorkbenchError(
                "bad-config", "There is one level only", "no narrower width is given", "Give widths below 1."
            )
        blocks = [range(start, end) for start, end in pairwise((0, *self.widths))]
        self.pairs = list(pairwise(blocks))  # (higher, lower)
        gates = sum(len(high) * len(low) for high, low in self.pairs)
        if gates > MOST_GATES:
            raise WorkbenchError(
                "bad-config",
                "The maps between levels are too large",
                f"{gates:,} gates; the limit is {MOST_GATES:,}",
                "Make the higher levels narrower.",
            )
        self.maps = nn.ModuleList([BlockMap(len(low), len(high)) for high, low in self.pairs])
        self.register_buffer("steps_seen", torch.tensor(0))

    def encode_batch(self, x: Tensor, target: Tensor) -> Encoded:
        seen = super().encode_batch(x, target)
        assert seen.index is not None
        part = slice(None, None, self.options.every)
        value, index, rows = seen.value[part].detach(), seen.index[part], x[part]
        draw = generator(self.seed, "gates", int(self.steps_seen))
        blocks = []
        for found, (high, low) in zip(self.selections(), self.pairs, strict=True):
            own, place = _within(value, index, low)
            above, where = _within(value, index, high)
            blocks.append(
                Block(
                    predicted=found(own, place, draw),
                    high=above.new_zeros(len(rows), len(high)).scatter_add(1, where, above),
                    reach=self.pre_activations(rows, slice(high.start, high.stop), bias=self.b_dec.detach()),
                    open=found.open(),
                )
            )
        return replace(seen, blocks=tuple(blocks))

    def tasks(self, steps: int) -> list[Component]:
        said = self.options
        fitted = component(TASKS, "predict_blocks", lambda step: said.selection)
        return [*super().tasks(steps), fitted]

    def constraints(self, steps: int) -> list[Component]:
        said = self.options
        start = round(said.start * steps)
        found = [
            *super().constraints(steps),
            component(CONSTRAINTS, "block_edges", ramp(said.edge_price, start, start)),
        ]
        if said.coverage:
            found.append(component(CONSTRAINTS, "coverage", ramp(said.coverage, start, start)))
        return found

    def after_step(self) -> None:
        super().after_step()
        self.steps_seen += 1

    def selections(self) -> list[BlockMap]:
        """The maps being trained, highest pair first."""
        return [found for found in self.maps if isinstance(found, BlockMap)]

    def inner_maps(self) -> list[Inner]:
        """The fitted maps, highest pair first."""
        return [
            Inner(low, high, found.weights()) for found, (high, low) in zip(self.selections(), self.pairs, strict=True)
        ]

    def inner_edges(self) -> LatentEdges:
        """Those the maps keep, by the rule of all maps; numbers are of the whole dictionary."""
        parts = []
        for low, high, weights in self.inner_maps():
            target, source = keep_rule(weights.T).nonzero(as_tuple=True)
            parts.append((source + low.start, target + high.start, weights[source, target]))
        return LatentEdges(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _within(value: Tensor, index: Tensor, block: range) -> tuple[Tensor, Tensor]:
    """The entries of one block, `row width`: values of others are zero, latents are counted from its start."""
    inside = (index >= block.start) & (index < block.stop)
    return torch.where(inside, value, 0.0), torch.where(inside, index - block.start, 0)
