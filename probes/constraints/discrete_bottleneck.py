"""Constraint: every latent takes one of a few values."""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn

from probes.configs import Frozen
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented
from probes.representations.spec import Spec
from probes.training.objective import Terms


class DiscreteBottleneckConfig(Frozen):
    """The values of a latent."""

    values: int = Field(default=10, description="How many values each latent has, learnt for each.", ge=2, le=1024)
    commitment: float = Field(
        default=0.25, description="How much latents move to values, beside values to latents.", ge=0
    )


class Values(nn.Module):
    """The values of each latent, `latent value`, evenly spread at the start."""

    def __init__(self, latents: int, values: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.linspace(-1.5, 1.5, values).repeat(latents, 1))

    def nearest(self, z: Tensor) -> Tensor:
        """Which value each latent is nearest to, `row latent`."""
        return (z[..., None] - self.table).abs().argmin(dim=-1)

    def forward(self, z: Tensor) -> Tensor:
        """The nearest values themselves, `row latent`."""
        return self.table.expand(len(z), -1, -1).gather(2, self.nearest(z)[..., None])[..., 0]


class DiscreteBottleneck(LatentConstraint):
    """Latents straight through the nearest of their own values, values drawn to latents and latents to values, over the
    latents' variance: a codebook per latent, so that a component keeps its identity (latent quantisation, Hsu et al.
    2023; the two terms are VQ-VAE's)."""

    Config = DiscreteBottleneckConfig
    config: DiscreteBottleneckConfig
    key = "discrete_bottleneck"
    holds = True

    def own(self, spec: Spec) -> nn.Module:
        return Values(spec.latents, self.config.values)

    def impose(self, rep: LatentModel, seen: Represented) -> Represented:
        done = {name: _through(view, rep.prior(self.key)) for name, view in seen.each()}
        return replace(done["x"], second=done.get("second"), past=done.get("past"))

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        nearest = rep.prior(self.key)(seen.mean)
        variance = seen.mean.var(dim=0).detach().clamp_min(1e-6)
        learnt = ((seen.mean.detach() - nearest).square() / variance).mean()
        committed = ((seen.mean - nearest.detach()).square() / variance).mean()
        return {"values": learnt, "commitment": self.config.commitment * committed}

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """Values in use per latent (perplexity), and the share of variance that lies between latents and values."""
        table = rep.prior(self.key)
        used = nn.functional.one_hot(table.nearest(seen.mean), self.config.values).float().mean(dim=0)
        entropy = -(used * used.clamp_min(1e-12).log()).sum(dim=1)
        lost = (seen.mean - table(seen.mean)).square().mean(dim=0) / seen.mean.var(dim=0).clamp_min(1e-12)
        return {"values_in_use": float(entropy.exp().mean()), "lost_to_values": float(lost.mean())}


def _through(view: Represented, values: nn.Module) -> Represented:
    flat = view.z.reshape(-1, view.z.shape[-1])
    nearest = values(flat).reshape(view.z.shape)
    return replace(view, z=view.z + (nearest - view.z).detach())
