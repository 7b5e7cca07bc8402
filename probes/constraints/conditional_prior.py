"""Constraint: given the domain, latents are independent, each with a mean and a deviation of its own."""

from __future__ import annotations

import torch
from torch import nn

from probes.parts.domains import DomainPrior
from probes.parts.independence import off_diagonal_correlation
from probes.parts.likelihood import gaussian_kl
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented, as_samples
from probes.representations.spec import Spec
from probes.training.objective import Terms


class ConditionalPrior(LatentConstraint):
    """KL(q(z|x) ‖ Π_i N(m_i(u), s_i(u))) per latent, in nats (iVAE, sufficient change); tasks read samples.

    Components are identified where at least 2 D + 1 domains change means and deviations freely.
    """

    key = "conditional_prior"
    symmetries = frozenset({"permutation", "sign"})
    given = frozenset({"domain"})

    def own(self, spec: Spec) -> nn.Module:
        return DomainPrior(spec.domains, spec.latents)

    def refuses(self, spec: Spec) -> str:
        return spec.few_domains()

    def impose(self, rep: LatentModel, seen: Represented) -> Represented:
        return as_samples(seen)

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        mean, log_variance = rep.prior(self.key)(seen.conditions["domain"])
        return {"prior": gaussian_kl(seen.mean, seen.log_variance, mean, log_variance).mean()}

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """Mean squared correlation of latents within a domain, and nats per latent beyond the prior."""
        mean, log_variance = rep.prior(self.key)(seen.conditions["domain"])
        within = (seen.mean - mean) * (-log_variance / 2).exp()
        nats = gaussian_kl(seen.mean, seen.log_variance, mean, log_variance).mean()
        return {"correlation_within_domains": float(off_diagonal_correlation(within)), "nats_per_latent": float(nats)}
