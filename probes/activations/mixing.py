"""In which order rows leave a rolling mixing buffer: a function of the seed, of bounded memory.

Rows arrive one by one; row i leaves at time i + window · u_i with u_i uniform in [0, 1). So a row waits for
at most `window` arrivals, a buffer of `window` rows is never exceeded, and neighbours on disk (a document's
tokens) leave far apart. Arrivals are drawn in blocks of `window`: whatever leaves in block j's time arrived
in block j or in the one before, so any place of the order is found from two blocks, without replaying what
came before it.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from probes.training.randomness import generator


class RollingOrder:
    """The order in which `n` arriving rows leave a buffer of `window` rows."""

    def __init__(self, n: int, window: int, seed: int, epoch: int) -> None:
        self.n, self.window, self.seed, self.epoch = n, window, seed, epoch
        self.blocks = -(-n // window)

    def block(self, number: int) -> range:
        """The arrivals of one block."""
        return range(number * self.window, min((number + 1) * self.window, self.n))

    def _times(self, block: int) -> Tensor:
        """When each arrival of a block leaves, counted from the block's start, in [0, 2 window)."""
        arrivals = len(self.block(block))
        draw = generator(self.seed, f"mixing{self.epoch}", block)
        wait = torch.rand(arrivals, generator=draw, dtype=torch.float64)
        return torch.arange(arrivals) + self.window * wait

    def late(self, block: int) -> Tensor:
        """Places within a block (ascending) of the rows that leave only in the next block's time."""
        return (self._times(block) >= self.window).nonzero().squeeze(1)

    @cached_property
    def ends(self) -> Tensor:
        """`blocks + 1`: how many rows have left at the end of each block's time (and of the time after)."""
        late = torch.tensor([0, *(len(self.late(block)) for block in range(self.blocks))])
        arrived = torch.tensor([len(self.block(block)) for block in range(self.blocks)] + [0])
        left = arrived + late
        left[: self.blocks] -= late[1:]
        return left.cumsum(0)

    def leaving(self, block: int) -> Tensor:
        """What leaves in a block's time, in order: places in [the block before's late rows, the block]."""
        before = self._times(block - 1) - self.window if block > 0 else torch.zeros(0, dtype=torch.float64)
        now = self._times(block) if block < self.blocks else torch.zeros(0, dtype=torch.float64)
        held = torch.cat([before[before >= 0], now])
        return held.argsort(stable=True)[: int((held < self.window).sum())]
