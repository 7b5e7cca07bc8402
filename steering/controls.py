"""What a lever is compared with: random latents, a difference of means, and simply asking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from probes.errors import WorkbenchError
from probes.hierarchy.probe import Level
from probes.hooks import Edit, Where, hooked
from probes.latents import LatentTable
from probes.subjects.text_autoregressive import TextAutoregressive
from probes.training.randomness import generator
from steering.levers import Lever
from steering.places import level_mask


class Context(NamedTuple):
    """A stretch of text as token ids, `pos`, and where the concept is on, `pos` bool."""

    tokens: Tensor
    on: Tensor


Contexts = Sequence[Context]


@dataclass(frozen=True)
class ControlRun:
    """One control: edits to apply, and text put before the prompt."""

    name: str
    edits: list[Edit]
    prefix: str = ""


def random_lever(lever: Lever, level: Level, seed: int) -> Lever:
    """The same operation, strength and places on random latents of a similar frequency, with weights that
    give each the same norm of change for one typical activation."""
    return lever.model_copy(update={"weights": matched_weights(level.space.table, lever.weights, seed)})


def matched_weights(table: LatentTable, weights: Mapping[int, float], seed: int) -> dict[int, float]:
    """For each weighted latent another one of a similar frequency, drawn by the seed, whose weight gives the
    same size of change for one typical activation. Raises `WorkbenchError` where no latent is left."""
    typical, frequency = table.typical, table.frequency
    living = (typical > 0).nonzero().flatten()
    found: dict[int, float] = {}
    for latent, weight in weights.items():
        near = (frequency[living].clamp_min(1e-9) / frequency[latent].clamp_min(1e-9)).log().abs()
        pool = living[near.argsort()[: min(200, max(64, len(living) // 20))]]
        pool = pool[[int(i) not in weights and int(i) not in found for i in pool]]
        if len(pool) == 0:
            raise WorkbenchError(
                "no-control",
                "No random latent is left to compare with",
                "the level is too small",
                "Skip controls.",
            )
        chosen = int(pool[torch.randint(len(pool), (), generator=generator(seed, "control", latent))])
        found[chosen] = weight * float(typical[latent] / typical[chosen])
    return found


class Means:
    """Running sums of activations where a concept is on and where it is off, `2 d`."""

    def __init__(self, width: int) -> None:
        self.sums, self.counts = torch.zeros(2, width, dtype=torch.float64), torch.zeros(2)

    def add(self, on: bool, rows: Tensor) -> None:
        """Rows `row d` of one side."""
        self.sums[int(on)] += rows.double().sum(dim=0).cpu()
        self.counts[int(on)] += len(rows)

    def difference(self) -> Tensor:
        """Mean where it is on minus the mean where it is off, `d`. Raises `WorkbenchError` with one side only."""
        if self.counts.min() == 0:
            raise WorkbenchError(
                "no-control",
                "No difference of means can be taken",
                "one side has no place",
                "Give longer contexts, or a lever that acts somewhere.",
            )
        return (self.sums[1] / self.counts[1] - self.sums[0] / self.counts[0]).float()


def difference_of_means(subject: TextAutoregressive, level: Level, contexts: Contexts) -> Tensor:
    """Mean activation where the concept is on minus the mean where it is off, `d_model`.

    Raises `WorkbenchError` when the contexts have no place of one kind.
    """
    means = Means(subject.d_model)

    def read(x: Tensor, where: Where) -> Tensor:
        return torch.cat([x.float()[0], level_mask(level, x.float(), where)[0, :, None].float()], dim=1)

    for context in contexts:
        with hooked(subject, {level.point: read}, stop=True) as tape:
            subject.run(context.tokens[None])
        seen = tape.last(level.point)
        use = seen[:, -1] == 0
        for kind in (False, True):
            means.add(kind, seen[use & (context.on == kind), :-1])
    return means.difference()


def norm_of(lever: Lever, level: Level) -> float:
    """Length of what the lever adds for one typical activation of each of its latents, signed by its strength."""
    rows = (w * level.space.table.typical[i] * level.space.w_dec[i] for i, w in lever.weights.items())
    return lever.strength * float(torch.linalg.vector_norm(sum(rows, torch.zeros(level.space.w_dec.shape[1]))))


def prompt_asking_for(concept: str) -> str:
    """The plain request a lever has to beat."""
    return f"Write about {concept}.\n\n"
