"""One batch as an autoencoder sees it: what tasks and constraints look at."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn.functional import pad

from probes.training.ranks import Group


@dataclass(frozen=True)
class Block:
    """Neighbouring levels inside one dictionary, on the rows `row` that the selection between them is fitted on.

    predicted: `row n_high`, what the selection map makes of the lower codes (the codes carry no gradient);
    high: `row n_high`, the higher codes (no gradient); reach: `row n_high`, the higher pre-activations, with the
    gradient of the higher latents only; open: `n_low n_high`, probability that each gate is open.
    """

    predicted: Tensor
    high: Tensor
    reach: Tensor
    open: Tensor

    def of_all(self, rows: Group) -> Block:
        """With the rows of the other processes."""
        return Block(rows.whole(self.predicted), rows.whole(self.high), rows.whole(self.reach), self.open)


@dataclass(frozen=True)
class Encoded:
    """Codes and reconstruction of one batch; every row is as the encoder sees it, after normalisation.

    x: `batch d_in`; target, decoded: `batch d_out`, what is to be rebuilt and what came out.
    value: codes, `batch width`, none negative; index: the latents they belong to, or None where they are dense
    (width is then n). An entry of value zero is off, whatever its index.
    pre: `batch n` pre-activations, where a loss looks at latents that are off.
    prefixes: `batch d_out` reconstructions from each nested width but the last, narrowest first.
    blocks: the levels inside the dictionary, highest pair first.
    """

    x: Tensor
    value: Tensor
    index: Tensor | None
    decoded: Tensor
    target: Tensor
    pre: Tensor | None = None
    prefixes: tuple[Tensor, ...] = ()
    blocks: tuple[Block, ...] = ()

    def l0(self) -> Tensor:
        """Active latents per row, `batch`."""
        return (self.value > 0).sum(dim=1)

    def fired(self) -> Tensor:
        """The latents active in this batch: numbers, or `n` bool where the codes are dense. Both index rows."""
        on = self.value > 0
        return on.any(dim=0) if self.index is None else self.index[on]

    def of_all(self, rows: Group, x: Tensor, target: Tensor) -> Encoded:
        """The whole batch, with what the other processes made of their rows of it."""
        if rows.size == 1:
            return self
        wider = (0, rows.largest(self.value.shape[1]) - self.value.shape[1])
        return Encoded(
            x,
            rows.whole(pad(self.value, wider)),
            None if self.index is None else rows.whole(pad(self.index, wider)),
            rows.whole(self.decoded),
            target,
            None if self.pre is None else rows.whole(self.pre),
            tuple(rows.whole(part) for part in self.prefixes),
            tuple(block.of_all(rows) for block in self.blocks),
        )

    def kept(self) -> Encoded:
        """What is looked at after the step: no graph, nothing that only a loss needs."""
        return replace(self, value=self.value.detach(), decoded=self.decoded.detach(), pre=None, prefixes=(), blocks=())
