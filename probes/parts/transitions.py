"""From the noise of a latent to the latent: what the past, and perhaps the present, make of it (TDRL, IDOL)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

HIDDEN = 32


class Transitions(nn.Module):
    """ε_i = r_i(z, past): for every latent a network with one hidden layer and a direct way from its own latent.

    `past`: what the networks read beside z, `row lag·latent`. `instantaneous`: whether r_i reads the other latents of
    the present too; else only z_i. The Jacobian ∂ε/∂z is exact, from the layer's own slopes.
    """

    def __init__(self, latents: int, lag: int, *, instantaneous: bool) -> None:
        super().__init__()
        scale = (latents * (lag + 1)) ** -0.5
        self.now = nn.Parameter(torch.randn(latents, latents, HIDDEN) * scale)  # of source latent, hidden
        self.then = nn.Parameter(torch.randn(latents, latents * lag, HIDDEN) * scale)
        self.bias, self.out = nn.Parameter(torch.zeros(latents, HIDDEN)), nn.Parameter(torch.zeros(latents, HIDDEN))
        self.direct, self.shift = nn.Parameter(torch.zeros(latents)), nn.Parameter(torch.zeros(latents))
        own = torch.eye(latents)
        self.reads: Tensor
        self.register_buffer("reads", torch.ones(latents, latents) if instantaneous else own)
        nn.init.normal_(self.out, std=0.1 * HIDDEN**-0.5)

    def forward(self, z: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(ε `row latent`, ∂ε/∂z `row latent latent`, ∂ε/∂past `row latent lag·latent`)."""
        now = self.now * self.reads[..., None]
        inner = torch.einsum("rs,nsh->rnh", z, now) + torch.einsum("rp,nph->rnh", past, self.then) + self.bias
        active = inner.tanh()
        gain = self.direct.exp()
        noise = torch.einsum("rnh,nh->rn", active, self.out) + gain * z + self.shift
        slope = (1 - active.square()) * self.out  # row latent hidden
        by_now = torch.einsum("rnh,nsh->rns", slope, now) + torch.diag(gain)
        return noise, by_now, torch.einsum("rnh,nph->rnp", slope, self.then)


def transition_log_density(noise: Tensor, by_now: Tensor) -> Tensor:
    """log p(z | past) = Σ_i log N(ε_i; 0, 1) + log |det ∂ε/∂z|, per row, in nats."""
    return -0.5 * (math.log(2 * math.pi) + noise.square()).sum(dim=1) + torch.linalg.slogdet(by_now).logabsdet
