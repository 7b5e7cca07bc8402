"""Constraint: the first latents are the same in all domains; only the last may change with the domain."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import nn

from probes.configs import Frozen
from probes.parts.domains import DomainPrior, explained_by_domain
from probes.parts.likelihood import gaussian_kl
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented, as_samples
from probes.representations.spec import Spec
from probes.training.objective import Terms


class InvariantSplitConfig(Frozen):
    """Where the split is."""

    changing: float = Field(default=0.5, description="Share of latents, the last ones, that may change.", gt=0, lt=1)


class InvariantSplit(LatentConstraint):
    """KL to one standard normal for the first latents and to a normal per domain for the last, per latent, in nats;
    and how much of the first latents' variance, and of their squares', lies between domains. Tasks read samples."""

    Config = InvariantSplitConfig
    config: InvariantSplitConfig
    key = "invariant_split"
    given = frozenset({"domain"})
    divides = "domains"

    def changing(self, spec: Spec) -> int:
        """How many latents may change."""
        return min(spec.latents - 1, max(1, math.ceil(self.config.changing * spec.latents - 1e-9)))

    def blocks(self, rep: LatentModel) -> dict[str, list[int]]:
        first = rep.spec.latents - self.changing(rep.spec)
        return {"still": [*range(first)], "moving": [*range(first, rep.spec.latents)]}

    def own(self, spec: Spec) -> nn.Module:
        return DomainPrior(spec.domains, self.changing(spec))

    def refuses(self, spec: Spec) -> str:
        return spec.few_domains() or ("" if spec.latents > 1 else "one latent cannot be split: raise latents")

    def impose(self, rep: LatentModel, seen: Represented) -> Represented:
        return as_samples(seen)

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        first = seen.mean.shape[1] - self.changing(rep.spec)
        mean, log_variance = rep.prior(self.key)(seen.conditions["domain"])
        still = gaussian_kl(seen.mean[:, :first], seen.log_variance[:, :first])
        moving = gaussian_kl(seen.mean[:, first:], seen.log_variance[:, first:], mean, log_variance)
        held = seen.mean[:, :first]
        both = [
            explained_by_domain(part, seen.conditions["domain"], rep.spec.domains) for part in (held, held.square())
        ]
        return {
            "prior": (still.sum() + moving.sum()) / seen.mean.numel(),
            "invariance": both[0].mean() + both[1].mean(),
        }

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """Share of variance between domains, of the latents that may not change and of those that may."""
        first = seen.mean.shape[1] - self.changing(rep.spec)
        share = explained_by_domain(seen.mean, seen.conditions["domain"], rep.spec.domains)
        return {
            "between_domains_still": float(share[:first].mean()),
            "between_domains_moving": float(share[first:].mean()),
        }
