"""Task: predict the latents of the whole from a part of what is seen."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from probes.configs import Frozen
from probes.parts.networks import Encoder, perceptron
from probes.representations.part import LatentTask
from probes.representations.representation import LatentModel, as_floats
from probes.representations.represented import Represented
from probes.representations.spec import Spec
from probes.training.objective import Batch, Terms
from probes.training.randomness import generator

BLOCKS = 4  # a picture is hidden in so many blocks along each side


class LatentPredictionConfig(Frozen):
    """What is hidden, and how slowly the target follows."""

    hidden: float = Field(default=0.3, description="Share of what is seen that the context lacks.", gt=0, lt=1)
    decay: float = Field(default=0.98, description="How much the target encoder keeps of itself each step.", ge=0, lt=1)
    spread: float = Field(
        default=1.0, description="Weight of the term that keeps every latent varying and unlike the others.", ge=0
    )


class Follower(nn.Module):
    """The predictor, and the target encoder that follows the trained one without a gradient."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.predict = perceptron([spec.latents, spec.width, spec.latents])
        self.target = Encoder(spec.shape, spec.latents, spec.width).requires_grad_(False)


class LatentPrediction(LatentTask):
    """‖p(f(context)) − f̄(x)‖² per latent, f̄ a slow copy of f (JEPA), beside VICReg's terms that forbid a collapse.

    Keeps what a part of the view says of the whole. Hidden are random dimensions of a vector, random blocks of a
    picture.
    """

    Config = LatentPredictionConfig
    config: LatentPredictionConfig
    key = "latent_prediction"

    def own(self, spec: Spec) -> nn.Module:
        return Follower(spec)

    def loss(self, rep: LatentModel, seen: Represented, batch: Batch) -> Terms:
        follower = rep.head(self.key)
        x = as_floats(batch["x"])
        context = seen.codes(rep.encode(x * self._shown(x, seen))[0])
        with torch.no_grad():
            wanted = seen.codes(follower.target(x)[0])
            scale = wanted.std(dim=0).clamp_min(1e-3)
        short = ((follower.predict(context) - wanted) / scale).square().mean()
        return {"prediction": short, "spread": self.config.spread * _collapsed(seen.z)}

    def after_step(self, rep: LatentModel) -> None:
        target = rep.head(self.key).target
        with torch.no_grad():
            for kept, now in zip(target.parameters(), rep.encoder.parameters(), strict=True):
                kept.lerp_(now, 1 - self.config.decay)

    def _shown(self, x: Tensor, seen: Represented) -> Tensor:
        draw = generator(seen.draw[0], "hidden", seen.draw[1])
        if x.ndim == 2:
            return (torch.rand(x.shape, generator=draw) >= self.config.hidden).to(x)
        cells = torch.rand(len(x), 1, BLOCKS, BLOCKS, generator=draw) >= self.config.hidden
        return functional.interpolate(cells.to(x), size=x.shape[2:])


def _collapsed(z: Tensor) -> Tensor:
    """How far columns are from deviation one, and squared covariances between them."""
    centred = z - z.mean(dim=0)
    cov = centred.T @ centred / (len(z) - 1)
    shared = (cov.square().sum() - cov.diagonal().square().sum()) / z.shape[1]
    return (1 - (cov.diagonal() + 1e-6).sqrt()).relu().mean() + shared / 25
