"""How well an assignment of latents to the blocks of a Markov blanket predicts rows it was not fitted on.

By lines instead of networks, so that every assignment is fitted alike and to its best: networks trained under one of
them could only say that they know no other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from probes.parts.blanket import BLOCKS
from probes.training.randomness import generator

DRAWN_IN = 1e-3  # of a line's slopes, per row: inputs that are copies of each other have one all the same
LEAST = 1e-4  # of a variance, in that of the target


def assignment_score(z: Tensor, answer: Tensor, domain: Tensor, block: Tensor) -> float:
    """Mean log p(answer, z | domain) in nats per row: fitted on one half of the rows, taken on the other.

    `z`: `row latent`; `block`: `latent`, places in `BLOCKS`. All numbers are in deviations.
    """
    # Drawn, not every other row: domains may come in turn. The same halves for every assignment.
    order = torch.randperm(len(z), generator=generator(0, "halves"))
    z, answer = _standardised(z)[order], _standardised(answer[:, None])[order, 0]
    where = functional.one_hot(domain[order]).double()
    anywhere = torch.ones_like(where[:, :1])
    parents, spouses, children = (z[:, block == at] for at in range(3))
    told = torch.cat([answer[:, None], spouses, parents], dim=1)
    score = _line(answer[:, None], parents, anywhere)
    score += _line(parents, z[:, :0], where) + _line(z[:, block == 3], z[:, :0], where)
    return score + _line(spouses, parents, where) + _line(children, told, where)


def assignments(block: Tensor) -> dict[str, Tensor]:
    """An assignment beside those it has to be better than: parents and children in each other's place, latents in
    order of their places, and none in the blanket."""
    swapped = torch.tensor([BLOCKS.index(name) for name in ("children", "spouses", "parents", "rest")])
    order = torch.arange(len(block)) * len(BLOCKS) // len(block)
    rest = torch.full_like(block, BLOCKS.index("rest"))
    return {"as_gated": block, "swapped": swapped.to(block)[block], "in_order": order.to(block), "no_blanket": rest}


def one_moved(block: Tensor) -> Iterator[Tensor]:
    """Every assignment in which one latent is in another block."""
    for latent, at in product(range(len(block)), range(len(BLOCKS))):
        if int(block[latent]) != at:
            moved = block.clone()
            moved[latent] = at
            yield moved


def _standardised(values: Tensor) -> Tensor:
    centred = values.double() - values.double().mean(dim=0)
    return centred / centred.square().mean(dim=0).sqrt().clamp_min(1e-12)


def _line(targets: Tensor, inputs: Tensor, member: Tensor) -> float:
    """Mean log density, summed over targets, of lines from inputs with a level and a variance for each column of
    `member`."""
    if not targets.shape[1]:
        return 0.0
    x = torch.cat([inputs, member], dim=1)
    fit, test = slice(len(x) // 2), slice(len(x) // 2, None)
    ridge = DRAWN_IN * len(x[fit]) * torch.eye(x.shape[1], dtype=x.dtype)
    slopes = torch.linalg.solve(x[fit].T @ x[fit] + ridge, x[fit].T @ targets[fit])
    off = (targets - x @ slopes).square()
    whole = off[fit].mean(dim=0).clamp_min(LEAST)  # what a domain of few rows is drawn towards, as by one row of it
    variance = (member[fit].T @ off[fit] + whole) / (member[fit].sum(dim=0)[:, None] + 1)
    expected = (member[test] @ variance).clamp_min(LEAST)
    density = -0.5 * (math.log(2 * math.pi) + expected.log() + off[test] / expected)
    return float(density.sum(dim=1).mean())


def counts(block: Tensor, names: Sequence[str] = BLOCKS) -> dict[str, float]:
    """How many latents there are in each block."""
    return {name: float((block == at).sum()) for at, name in enumerate(names)}
