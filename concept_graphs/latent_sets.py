"""Sets of latents that are taken from rows of a batch, or given to them, and the same along other directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from probes.hierarchy.probe import Level
from probes.hooks import Where

Change = Callable[[Tensor, Where], Tensor]


@dataclass
class LatentSets:
    """The latents of each row of a batch, `members` `row latent` (-1 where a row has fewer), and how strongly they
    fired by call: `kept` `row place latent`."""

    level: Level
    members: Tensor
    kept: dict[int, Tensor] = field(default_factory=dict)

    def read(self, x: Tensor, where: Where) -> Tensor:
        """What the rows' own latents write, `row place d`; their codes are kept."""
        members, own = self._own(where)
        wanted, column = members.unique(return_inverse=True)
        codes = self.level.space.encode(x.cpu(), wanted.tolist()).value
        z = codes.gather(2, column[:, None].expand(-1, codes.shape[1], -1))
        self.kept[where.call] = z
        return z @ own

    def taken(self, x: Tensor, where: Where) -> Tensor:
        """The change that takes away what they write."""
        return -self.read(x, where).to(x)

    def given(self, x: Tensor, where: Where) -> Tensor:
        """The change that adds what they wrote when they were read; nothing in calls in which they were not."""
        return (self.kept[where.call] @ self._own(where)[1]).to(x) if where.call in self.kept else torch.zeros_like(x)

    def elsewhere(self, rows: Tensor, sign: int, x: Tensor, where: Where) -> Tensor:
        """The change by the same codes along other decoder rows, `row latent d`: in every place as long as what they
        wrote. `sign`: 1 adds, -1 takes away."""
        if where.call not in self.kept:
            return torch.zeros_like(x)
        there = (self.members[torch.tensor(where.items)] >= 0)[..., None]
        own, moved = self.given(x, where), (self.kept[where.call] @ (rows[torch.tensor(where.items)] * there)).to(x)
        longer = own.norm(dim=-1, keepdim=True) / moved.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        return sign * longer * moved

    def _own(self, where: Where) -> tuple[Tensor, Tensor]:
        """(members with the gaps filled by the first, their decoder rows, zero at gaps)."""
        members = self.members[torch.tensor(where.items)]
        there = (members >= 0)[..., None]
        members = torch.where(members >= 0, members, members[:, :1])
        return members, self.level.space.w_dec[members] * there
