"""What all trainers of a race are given: the same batches, the same first weights."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

DIRECTIONS, PRESENCE, NOISE = 4096, 0.006, 0.05
UNREACHABLE = -30.0  # no row overcomes it; far larger, and clipping would leave the live latents nothing


class Setting(NamedTuple):
    """One race. dead: the share of latents that cannot fire and are counted as dead."""

    d: int
    n: int
    k: int
    batch: int
    dead: float = 0.0
    pool: int = 4
    rate: float = 1e-3

    def dead_latents(self) -> Tensor:
        return torch.arange(round(self.dead * self.n))

    def batches(self) -> list[Tensor]:
        """Sparse mixtures of 4096 directions with a little noise, about unit variance per dimension."""
        random = torch.Generator().manual_seed(0)
        directions = F.normalize(torch.randn(DIRECTIONS, self.d, generator=random), dim=1)
        return [self._mixture(directions, random) for _ in range(self.pool)]

    def _mixture(self, directions: Tensor, random: torch.Generator) -> Tensor:
        shape = (self.batch, DIRECTIONS)
        present = torch.rand(shape, generator=random) < PRESENCE
        x = (present * torch.rand(shape, generator=random)) @ directions
        x += NOISE * torch.randn(self.batch, self.d, generator=random)
        return x * (self.d**0.5 / (x - x.mean(dim=0)).norm(dim=1).mean())

    def rows(self) -> Tensor:
        """First decoder and encoder rows, `n d`, unit vectors."""
        return F.normalize(torch.randn(self.n, self.d, generator=torch.Generator().manual_seed(1)), dim=1)

    def bias(self) -> Tensor:
        """First encoder bias, `n`: 0, and out of reach for the dead."""
        bias = torch.zeros(self.n)
        bias[self.dead_latents()] = UNREACHABLE
        return bias


def unexplained(x: Tensor, decoded: Tensor) -> float:
    """Share of the variance left unexplained."""
    return float((x - decoded).square().sum() / (x - x.mean(dim=0)).square().sum())
