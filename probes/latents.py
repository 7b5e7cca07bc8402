"""Latent spaces: sparse codes, the table of their latents, and the protocol they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from probes.hooks import HookPoint


@dataclass(frozen=True)
class Codes:
    """Sparse codes, row by row: `index` (int64) and `value` (float32), both `... width`.

    An entry of value zero is padding, whatever its index. Within a row an index appears once.
    """

    index: Tensor
    value: Tensor
    n_latents: int

    @property
    def active(self) -> Tensor:
        """`... width` bool: entries that are not padding."""
        return self.value != 0

    def l0(self) -> Tensor:
        """Active latents per row, `...`."""
        return self.active.sum(dim=-1)

    def dense(self) -> Tensor:
        """`... n_latents`; only for a few rows."""
        out = torch.zeros(*self.value.shape[:-1], self.n_latents, dtype=self.value.dtype, device=self.value.device)
        return out.scatter_add_(-1, self.index, self.value)

    def only(self, latents: Sequence[int]) -> Codes:
        """The codes of these latents alone, in this order, `... n_chosen` (zero where they are off)."""
        chosen = torch.tensor(list(latents), dtype=torch.long, device=self.index.device)
        wanted, place = chosen.unique(return_inverse=True)
        column = torch.full((self.n_latents,), len(wanted), device=self.index.device)
        column[wanted] = torch.arange(len(wanted), device=self.index.device)
        # One column more than wanted takes what is not: never a column per latent of the space.
        shape = (*self.value.shape[:-1], len(wanted) + 1)
        value = self.value.new_zeros(shape).scatter_add_(-1, column[self.index], self.value)[..., place]
        return Codes(chosen.expand(value.shape), value, self.n_latents)

    def csr(self) -> sparse.csr_matrix:
        """All rows flattened, `(row) n_latents`, as a scipy matrix."""
        value, index = (
            self.value.reshape(-1, self.value.shape[-1]),
            self.index.reshape(-1, self.index.shape[-1]),
        )
        active = value != 0
        starts = np.concatenate([[0], active.sum(dim=1).cumsum(0).cpu().numpy()])
        matrix = sparse.csr_matrix(
            (value[active].cpu().numpy(), index[active].cpu().numpy(), starts),
            shape=(value.shape[0], self.n_latents),
        )
        matrix.sort_indices()
        return matrix

    def scaled(self, factor: float | Tensor) -> Codes:
        return Codes(self.index, self.value * factor, self.n_latents)


@dataclass(frozen=True)
class LatentTable:
    """What is known of each latent: `typical` is the unit of a lever's strength, the 95 % quantile of its active
    values, or the standard deviation of one that is never off; `frequency` the share of rows where it is active; both
    `n_latents`."""

    names: tuple[str, ...]
    typical: Tensor
    frequency: Tensor

    def __len__(self) -> int:
        return len(self.names)


class LatentEdges(NamedTuple):
    """Edges between latents of one space, a part to a whole: `source` and `target` (int64), `weight`, all `edge`."""

    source: Tensor
    target: Tensor
    weight: Tensor

    @classmethod
    def none(cls) -> LatentEdges:
        """What a space has whose latents are not told apart in levels."""
        return cls(torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), torch.zeros(0))


class LatentSpace(Protocol):
    """Anything with named latents that can be read and written."""

    @property
    def point(self) -> HookPoint | None: ...

    @property
    def table(self) -> LatentTable: ...

    def encode(self, x: Tensor, latents: Sequence[int] | None = None) -> Codes:
        """Codes of rows `... d_model`; with `latents`, of those only (same values, fewer products)."""
        ...

    def change(self, dz: Codes) -> Tensor:
        """What a change of codes adds to x, `... d_model` float32; the reconstruction error stays."""
        ...

    def edges(self) -> LatentEdges:
        """The edges it already has between its own latents; proposals, like every edge of a map."""
        ...


@dataclass(frozen=True)
class Directions:
    """A latent space of plain unit directions, `n d_model`: its codes are signed projections.

    It carries difference-of-means directions, and the `project` operation of any dictionary.
    """

    vectors: Tensor
    table: LatentTable
    point: HookPoint | None = None

    def encode(self, x: Tensor, latents: Sequence[int] | None = None) -> Codes:
        chosen = torch.arange(len(self.table)) if latents is None else torch.tensor(list(latents))
        value = x.float() @ self.vectors[chosen].T.to(x.device)
        return Codes(chosen.expand(value.shape).to(x.device), value, len(self.table))

    def change(self, dz: Codes) -> Tensor:
        return combine_rows(self.vectors.to(dz.value.device), dz)

    def edges(self) -> LatentEdges:
        return LatentEdges.none()


def combine_rows(rows: Tensor, codes: Codes) -> Tensor:
    """Σ value · rows[index] for every row of codes: `... width` with rows `n d` gives `... d`, float32."""
    shape = codes.value.shape
    summed = torch.nn.functional.embedding_bag(
        codes.index.reshape(-1, shape[-1]),
        rows,
        per_sample_weights=codes.value.reshape(-1, shape[-1]).to(rows.dtype),
        mode="sum",
    )
    return summed.reshape(*shape[:-1], rows.shape[1])
