"""Constraint: latents fall into parents, spouses and children of an answer, and the rest, each with its own shifts."""

from __future__ import annotations

from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from probes.parts.domains import DomainPrior
from probes.parts.likelihood import normal_log_density
from probes.parts.networks import perceptron
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented, as_samples
from probes.representations.spec import Spec
from probes.training.objective import Terms

NAMED = ("parents", "spouses", "children", "rest")
BLOCKS = len(NAMED)


class Blanket(nn.Module):
    """The density of answer and latents: parents by domain, the answer from parents in one way for all domains, spouses
    from parents, children from answer, spouses and parents, the rest by domain; all shifted by domain."""

    def __init__(self, sizes: tuple[int, ...], domains: int, width: int) -> None:
        super().__init__()
        parents, spouses, children, _ = sizes
        self.sizes = sizes
        self.shifts = DomainPrior(domains, sum(sizes))
        self.answers = perceptron([parents, width, 2])
        self.for_spouses = perceptron([parents, width, spouses])
        self.for_children = perceptron([1 + spouses + parents, width, children])

    def forward(self, z: Tensor, answer: Tensor, domain: Tensor) -> tuple[Tensor, Tensor]:
        """(log p(z | answer and what comes before, domain), log p(answer | parents)), `row latent` and `row`."""
        parents, spouses, _, rest = z.split(self.sizes, dim=1)
        told = torch.cat([answer[:, None], spouses, parents], dim=1)
        none = torch.zeros_like
        made = torch.cat([none(parents), self.for_spouses(parents), self.for_children(told), none(rest)], dim=1)
        mean, log_variance = self.shifts(domain)
        said, spread = self.answers(parents).unbind(dim=1)
        return normal_log_density(z, made + mean, log_variance), normal_log_density(answer, said, spread.clamp(-6, 6))


class MarkovBlanket(LatentConstraint):
    """log q(z|x) − log p(z, y | u) per latent, in nats, p split along the Markov blanket of y (method 3).

    It is told the first answer as a condition, in training alone; blocks are equal shares of the latents, in the order
    parents, spouses, children, rest.
    """

    key = "markov_blanket"
    given = frozenset({"domain", "answers"})
    divides = "blanket"

    def sizes(self, spec: Spec) -> tuple[int, ...]:
        """Latents in each of the four blocks."""
        each, over = divmod(spec.latents, BLOCKS)
        return tuple(each + (at < over) for at in range(BLOCKS))

    def blocks(self, spec: Spec) -> dict[str, list[int]]:
        ends = [0, *accumulate(self.sizes(spec))]
        return {name: [*range(start, end)] for name, (start, end) in zip(NAMED, pairwise(ends), strict=True)}

    def own(self, spec: Spec) -> nn.Module:
        return Blanket(self.sizes(spec), spec.domains, spec.width)

    def refuses(self, spec: Spec) -> str:
        return spec.few_domains() or (
            "" if spec.latents >= BLOCKS else f"four blocks want {BLOCKS} latents: raise latents"
        )

    def impose(self, rep: LatentModel, seen: Represented) -> Represented:
        return as_samples(seen)

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        z = as_samples(seen).z
        latents, answer = rep.prior(self.key)(z, seen.conditions["answers"][:, 0], seen.conditions["domain"])
        posterior = normal_log_density(z, seen.mean, seen.log_variance)
        return {"prior": (posterior - latents).mean() - answer.mean() / z.shape[1]}

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """Share of the answer's variance that each block alone explains linearly, and blanket and rest."""
        blocks = seen.mean.split(self.sizes(rep.spec), dim=1)
        answer = seen.conditions["answers"][:, 0]
        named = zip(NAMED, blocks, strict=True)
        return {f"answer_by_{name}": explained(block, answer) for name, block in named}


def explained(z: Tensor, answer: Tensor) -> float:
    """R² of `row` from `row latent` by least squares, on the same rows."""
    x = torch.cat([z, torch.ones_like(z[:, :1])], dim=1).double()
    y = answer.double()[:, None]
    left = y - x @ torch.linalg.lstsq(x, y).solution
    return 1 - float(left.square().sum() / (y - y.mean()).square().sum().clamp_min(1e-12))
