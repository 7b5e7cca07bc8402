"""Rows of a world in memory, as batches by step."""

from __future__ import annotations

from torch import Tensor

from probes.training.randomness import permutation


class ArrayRows:
    """Batches of shuffled rows `row d`, as a function of the seed and the step alone."""

    def __init__(self, x: Tensor, *, batch: int, seed: int) -> None:
        if len(x) < batch:
            raise ValueError(f"{len(x)} rows make no batch of {batch}")
        self.x, self.batch, self.seed, self.n_rows = x, batch, seed, len(x)

    def batch_at(self, step: int) -> dict[str, Tensor]:
        """`{"x": batch d}`."""
        epoch, at = divmod(step, self.n_rows // self.batch)
        order = permutation(self.n_rows, self.seed, "rows", epoch)
        return {"x": self.x[order[at * self.batch : (at + 1) * self.batch]]}
