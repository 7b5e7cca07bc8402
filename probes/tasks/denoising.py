"""Task: tell the noise in a noisy view, given the latents of the clean one."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from probes.parts.networks import decoder, trunk
from probes.representations.part import LatentTask
from probes.representations.representation import LatentModel, as_floats
from probes.representations.represented import Represented
from probes.representations.spec import Spec
from probes.training.objective import Batch, Terms
from probes.training.randomness import generator


class NoiseTeller(nn.Module):
    """ε̂(x_t, t, z), `row *shape`: features of the noisy view join the latents and the time."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.trunk = trunk(spec.shape, spec.width)
        self.out = decoder(spec.width + spec.latents + 1, spec.shape, spec.width)

    def forward(self, noisy: Tensor, time: Tensor, z: Tensor) -> Tensor:
        told: Tensor = self.out(torch.cat([self.trunk(noisy), z, time[:, None]], dim=1))
        return told


class Denoising(LatentTask):
    """E‖ε − ε̂(√ā x + √(1 − ā) ε, t, z)‖² per entry, ā = cos²(πt/2) (Nichol & Dhariwal 2021), t even in [0, 1).

    Keeps what a noisy view does not say by itself.
    """

    key = "denoising"

    def own(self, spec: Spec) -> nn.Module:
        return NoiseTeller(spec)

    def loss(self, rep: LatentModel, seen: Represented, batch: Batch) -> Terms:
        x = as_floats(batch["x"])
        draw = generator(seen.draw[0], "denoising", seen.draw[1])
        time = torch.rand(len(x), generator=draw).to(x)
        noise = torch.randn(x.shape, generator=draw).to(x)
        clean = (x - x.mean(dim=0)) / x.std().clamp_min(1e-6)
        angle = (time * math.pi / 2).reshape(-1, *[1] * (x.ndim - 1))
        told = rep.head(self.key)(angle.cos() * clean + angle.sin() * noise, time, seen.z)
        return {"denoising": (noise - told).square().mean()}
