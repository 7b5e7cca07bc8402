"""The Markov blanket of an answer: which latents are parents, spouses and children, and what density follows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from probes.parts.domains import DomainPrior
from probes.parts.gates import BETA
from probes.parts.likelihood import normal_log_density
from probes.parts.networks import perceptron

BLOCKS = ("parents", "spouses", "children", "rest")
HIDDEN = 16
PACE = 10.0  # of gates beside other parameters: a network's weights go too short a way to settle one within a training


class Others(nn.Module):
    """For each latent a number that a small network makes of the others, and of the answer where it is told."""

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.inner = nn.Parameter(torch.randn(latents, latents, HIDDEN) / latents**0.5)  # of source, hidden
        self.told = nn.Parameter(torch.randn(latents, HIDDEN))
        self.bias = nn.Parameter(torch.randn(latents, HIDDEN))
        self.outer = nn.Parameter(torch.randn(latents, HIDDEN) / HIDDEN)
        self.others: Tensor
        self.register_buffer("others", 1 - torch.eye(latents))

    def forward(self, z: Tensor, answer: Tensor | None) -> Tensor:
        """`row latent`; no latent is made of itself."""
        inner = torch.einsum("rs,nsh->rnh", z, self.inner * self.others[..., None]) + self.bias
        if answer is not None:
            inner = inner + answer[:, None, None] * self.told
        return (inner.tanh() * self.outer).sum(dim=2)


class Blanket(nn.Module):
    """Gates that put each latent into a block, and the density of answer and latents by blocks.

    Parents by domain; the answer from parents in one way for all domains; spouses from parents; children from answer,
    spouses and parents; the rest by domain. Each block has shifts of its own by domain. That the answer follows from
    its parents alike everywhere, and children do not follow from it so, is what tells the two apart.
    """

    def __init__(self, latents: int, domains: int, width: int) -> None:
        super().__init__()
        self.slow = nn.Parameter(torch.zeros(latents, len(BLOCKS)))
        self.shifts = nn.ModuleList(DomainPrior(domains, latents) for _ in BLOCKS)
        self.answers = perceptron([latents, width, 2])
        self.for_spouses, self.for_children = Others(latents), Others(latents)

    def chances(self) -> Tensor:
        """Of each latent for each block, `latent block`."""
        return (PACE * self.slow).softmax(dim=1)

    def drawn(self, uniform: Tensor) -> Tensor:
        """Blocks for uniform noise `latent block`: ones and zeros, with the slope of the chances behind them."""
        soft = ((PACE * self.slow - torch.log(-torch.log(uniform))) / BETA).softmax(dim=1)
        return one_hot(soft.argmax(dim=1)).to(soft) + (soft - soft.detach())

    def settled(self) -> Tensor:
        """Which block each latent is most likely in, `latent`."""
        return self.slow.detach().argmax(dim=1)

    def forward(self, z: Tensor, answer: Tensor, domain: Tensor, blocks: Tensor) -> tuple[Tensor, Tensor]:
        """(log p(z | answer and what comes before, domain), log p(answer | parents)), `row latent` and `row`; `blocks`:
        `latent block`."""
        parents, spouses = z * blocks[:, 0], z * blocks[:, 1]
        none = torch.zeros_like(z)
        made = (none, self.for_spouses(parents, None), self.for_children(parents + spouses, answer), none)
        found = none
        for at, (mean, shifts) in enumerate(zip(made, self.shifts, strict=True)):
            shift, log_variance = shifts(domain)
            found = found + blocks[:, at] * normal_log_density(z, mean + shift, log_variance)
        said, spread = self.answers(parents).unbind(dim=1)
        return found, normal_log_density(answer, said, spread.clamp(-6, 6))


def one_hot(block: Tensor) -> Tensor:
    """`latent` to `latent block`."""
    return functional.one_hot(block, len(BLOCKS))
