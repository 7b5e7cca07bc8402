"""Constraint: latents fall into parents, spouses and children of an answer, and the rest, each with its own shifts."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from probes.configs import Frozen
from probes.parts.blanket import BLOCKS, Blanket, one_hot
from probes.parts.blanket_scores import assignment_score, assignments, counts, one_moved
from probes.parts.likelihood import normal_log_density
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented, as_samples
from probes.representations.spec import Spec
from probes.training.objective import Terms
from probes.training.randomness import generator

MOST_MOVED = 32  # latents: of more, moving each in turn would take longer than it tells


class MarkovBlanketConfig(Frozen):
    """What being in the blanket costs."""

    member: float = Field(
        default=0.02, description="Nats that a latent in the blanket has to be worth, of each latent.", ge=0
    )


class MarkovBlanket(LatentConstraint):
    """log q(z|x) − log p(z, y | u) per latent, in nats, p split along the Markov blanket of y, and a price for each
    latent in the blanket (method 3).

    It is told the first answer as a condition, in training alone. Which block a latent is in is learnt: a gate for each
    latent, drawn afresh every step.
    """

    Config = MarkovBlanketConfig
    config: MarkovBlanketConfig
    key = "markov_blanket"
    told = "an answer"
    given = frozenset({"domain", "answers"})
    divides = "blanket"
    holds = True

    def blocks(self, rep: LatentModel) -> dict[str, list[int]]:
        settled = rep.prior(self.key).settled()
        return {name: torch.nonzero(settled == at).flatten().tolist() for at, name in enumerate(BLOCKS)}

    def own(self, spec: Spec) -> nn.Module:
        return Blanket(spec.latents, spec.domains, spec.width)

    def refuses(self, spec: Spec) -> str:
        return spec.few_domains() or (
            "" if spec.latents >= len(BLOCKS) else f"four blocks want {len(BLOCKS)} latents: raise latents"
        )

    def impose(self, rep: LatentModel, seen: Represented) -> Represented:
        return as_samples(seen)

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        z, blanket = as_samples(seen).z, rep.prior(self.key)
        uniform = torch.rand(blanket.slow.shape, generator=generator(seen.draw[0], "blocks", seen.draw[1]))
        blocks = blanket.drawn(uniform.clamp(1e-6, 1 - 1e-6).to(z))
        latents, answer = blanket(z, seen.conditions["answers"][:, 0], seen.conditions["domain"], blocks)
        posterior = normal_log_density(z, seen.mean, seen.log_variance)
        return {
            "prior": (posterior - latents).mean() - answer.mean() / z.shape[1],
            "members": self.config.member * (1 - blanket.chances()[:, -1]).mean(),
        }

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """Log density of a row's answer and latents, in nats, under the assignment and under others, the best of which
        one latent is moved in among them: gates may settle on another than the best. Each is fitted by lines on half of
        the rows and scored on the rest. Latents in each block, and how undecided gates are.
        """
        blanket = rep.prior(self.key)
        block, told = blanket.settled(), (seen.conditions["answers"][:, 0], seen.conditions["domain"])
        scores = {f"score_{name}": assignment_score(seen.mean, *told, one) for name, one in assignments(block).items()}
        if len(block) <= MOST_MOVED:
            scores["score_one_moved"] = max(assignment_score(seen.mean, *told, one) for one in one_moved(block))
        return {**scores, **counts(block), "undecided": 1 - float((blanket.chances() * one_hot(block)).sum(1).mean())}
