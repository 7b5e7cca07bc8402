"""Rows of a world in memory, as batches by step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from probes.training.randomness import generator
from probes.worlds.factors import FactorSample
from probes.worlds.world import Array

LOOK = 1024  # rows at a time where nothing is trained


class GridRows:
    """The fields of a sample as tensors; pictures stay bytes until a network reads them."""

    def __init__(self, sample: FactorSample) -> None:
        self.fields = {name: torch.from_numpy(np.ascontiguousarray(field)) for name, field in sample.fields.items()}
        self.factors: Array = sample.factors

    def __len__(self) -> int:
        return len(self.factors)

    def batches(self, size: int, seed: int) -> Callable[[int], dict[str, Tensor]]:
        """Step to a batch, drawn anew each step; a function of seed and step."""

        def batch_at(step: int) -> dict[str, Tensor]:
            chosen = torch.randint(len(self), (min(size, len(self)),), generator=generator(seed, "rows", step))
            return self._of(chosen, step)

        return batch_at

    def in_order(self, size: int = LOOK) -> list[dict[str, Tensor]]:
        """All rows once, in order; batches of fewer than two rows are left out."""
        starts = range(0, len(self), size)
        parts = [torch.arange(start, min(start + size, len(self))) for start in starts]
        return [self._of(part, at) for at, part in enumerate(parts) if len(part) > 1]

    def _of(self, chosen: Tensor, step: int) -> dict[str, Tensor]:
        return {name: field[chosen] for name, field in self.fields.items()} | {"step": torch.tensor(step)}
