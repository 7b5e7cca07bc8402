"""The networks of representations: small perceptrons for vectors, small convolutions for pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from probes.training.randomness import generator

N = TypeVar("N", bound=nn.Module)
COARSEST = 4  # side of the last map of a convolution


def seeded(build: Callable[[], N], seed: int, stream: str) -> N:
    """A network whose first weights are a function of the seed and its own name, whatever was built before it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, f"weights/{stream}").initial_seed())
        return build()


def perceptron(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers with smooth units between them, so that slopes have slopes, `… first` to `… last`."""
    layers: list[nn.Module] = []
    for at, (before, after) in enumerate(pairwise(sizes)):
        layers += [nn.SiLU()] * (at > 0) + [nn.Linear(before, after)]
    return nn.Sequential(*layers)


def trunk(shape: Sequence[int], width: int) -> nn.Module:
    """What is seen, `row *shape`, to features `row width`."""
    if len(shape) == 1:
        return nn.Sequential(perceptron([shape[0], width, width, width]), nn.SiLU())
    channels = _channels(shape)
    halving = [
        part
        for before, after in pairwise(channels)
        for part in (nn.Conv2d(before, after, 4, stride=2, padding=1), nn.SiLU())
    ]
    flat = channels[-1] * COARSEST**2
    return nn.Sequential(*halving, nn.Flatten(), nn.Linear(flat, width), nn.SiLU())


def decoder(inputs: int, shape: Sequence[int], width: int) -> nn.Module:
    """Latents, `row inputs`, to what is seen, `row *shape`."""
    if len(shape) == 1:
        return perceptron([inputs, width, width, shape[0]])
    channels = _channels(shape)[::-1]
    doubling: list[nn.Module] = []
    for before, after in pairwise(channels):
        doubling += [nn.SiLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
    flat = channels[0] * COARSEST**2
    return nn.Sequential(
        perceptron([inputs, width, flat]), nn.Unflatten(1, (channels[0], COARSEST, COARSEST)), *doubling
    )


class Encoder(nn.Module):
    """What is seen to the mean and the log variance of its latents, each `row latent`."""

    NARROW = -4.0  # log variance at the start: a sample is near its mean

    def __init__(self, shape: Sequence[int], latents: int, width: int) -> None:
        super().__init__()
        self.trunk, self.mean, self.log_variance = (
            trunk(shape, width),
            nn.Linear(width, latents),
            nn.Linear(width, latents),
        )
        nn.init.zeros_(self.log_variance.weight)
        nn.init.constant_(self.log_variance.bias, self.NARROW)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(x)
        return self.mean(features), self.log_variance(features)


class Reader(nn.Module):
    """Captions `row word` to vectors `row latent`: the mean of their words' vectors through a perceptron."""

    def __init__(self, words: int, latents: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width, padding_idx=0)
        self.out = perceptron([width, width, latents])

    def forward(self, caption: Tensor) -> Tensor:
        said = (caption > 0).sum(dim=1, keepdim=True).clamp_min(1)
        out: Tensor = self.out(self.words(caption).sum(dim=1) / said)
        return out


def _channels(shape: Sequence[int]) -> list[int]:
    """Channels of the maps from the picture to the coarsest."""
    found, side = [shape[0]], shape[1]
    while side > COARSEST:
        found.append(min(64, 2 * found[-1] if len(found) > 1 else 32))
        side //= 2
    return found
