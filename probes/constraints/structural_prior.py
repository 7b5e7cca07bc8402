"""Constraint: each latent follows from its parents in a known graph, except where it was intervened on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from probes.parts.likelihood import normal_log_density
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented, as_samples
from probes.representations.spec import Spec
from probes.training.objective import Terms

HIDDEN = 16
NARROWEST = -6.0  # log variance


class Mechanisms(nn.Module):
    """For each latent a normal whose mean and log variance a small network makes of its parents; and another normal for
    where it was intervened on."""

    def __init__(self, parents: Tensor) -> None:
        super().__init__()
        n = len(parents)
        self.parents: Tensor
        self.register_buffer("parents", parents.float())  # latent parent
        self.inner, self.inner_bias = (
            nn.Parameter(torch.randn(n, n, HIDDEN) / n**0.5),
            nn.Parameter(torch.randn(n, HIDDEN)),
        )
        self.outer = nn.Parameter(torch.randn(n, HIDDEN, 2) / HIDDEN / 4)
        self.outer_bias, self.touched = nn.Parameter(torch.zeros(n, 2)), nn.Parameter(torch.zeros(n, 2))

    def forward(self, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, log variance) of every latent, `row latent`; `target`: `row`, -1 for none."""
        hidden = torch.einsum("rp,np,nph->rnh", z, self.parents, self.inner) + self.inner_bias
        usual = torch.einsum("rnh,nho->rno", hidden.tanh(), self.outer) + self.outer_bias
        latent = torch.arange(len(self.touched), device=z.device)
        found = torch.where((target[:, None] == latent)[..., None], self.touched, usual)
        return found[..., 0], found[..., 1].clamp(NARROWEST, -NARROWEST)


class StructuralPrior(LatentConstraint):
    """log q(z|x) − Σ_i log p_i(z_i | z_parents), intervened mechanisms replaced, per latent (after CauCA).

    It is told the graph and the targets of interventions, and so which latent is to be which factor.
    """

    key = "structural_prior"
    told = "the graph and what was intervened on"
    given = frozenset({"target"})

    def own(self, spec: Spec) -> nn.Module:
        return Mechanisms(torch.from_numpy(spec.edges.T.copy()))

    def refuses(self, spec: Spec) -> str:
        if spec.latents != len(spec.edges):
            return f"it needs a latent for each of the {len(spec.edges)} factors: set latents to {len(spec.edges)}"
        return ""

    def impose(self, rep: LatentModel, seen: Represented) -> Represented:
        return as_samples(seen)

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        z = as_samples(seen).z
        prior = normal_log_density(z, *rep.prior(self.key)(z, seen.conditions["target"]))
        return {"prior": (normal_log_density(z, seen.mean, seen.log_variance) - prior).mean()}

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """Log likelihood of the latents' means under the mechanisms, nats per latent, and under one normal each."""
        mean, spread = seen.mean.mean(dim=0), seen.mean.var(dim=0).clamp_min(1e-12).log()
        found = normal_log_density(seen.mean, *rep.prior(self.key)(seen.mean, seen.conditions["target"]))
        alone = normal_log_density(seen.mean, mean, spread)
        return {"gained_by_structure": float((found - alone).mean()), "log_likelihood": float(found.mean())}
