"""Rows of a store: what a dictionary encodes, one at a time, and their mixing into batches.

A row is a token, or a span: the mean over a window of tokens. Masked tokens (padding, special,
outliers) are no rows and take no part in a span's mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from probes.activations.store import ActivationStore
from probes.addresses import HookPoint
from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.training.randomness import permutation


class RowKind(Frozen):
    """Token rows (span 1), or means over windows of `span` tokens counted from the chunk's start."""

    span: int = Field(default=1, description="Tokens per row; 1 is one row per token.", ge=1, le=4096)

    def __str__(self) -> str:
        return "token" if self.span == 1 else f"span({self.span})"

    @classmethod
    def parse(cls, text: str) -> RowKind:
        match = re.fullmatch(r"span\((\d+)\)", text)
        if text != "token" and match is None:
            raise WorkbenchError("bad-row", f"{text!r} is no kind of row", "unknown", "Use token or span(16).")
        return cls(span=int(match[1]) if match else 1)

    def windows(self, length: int) -> int:
        """How many rows a chunk of `length` tokens gives; a shorter last window is a row too."""
        return -(-length // self.span)


def pool_mean(x: Tensor, usable: Tensor, span: int) -> tuple[Tensor, Tensor]:
    """Mean over the usable tokens of each window.

    `x`: `chunk pos d`, `usable`: `chunk pos` bool. Returns (`chunk window d` float32, `chunk window`
    bool): a window is a row when at least half of its span is usable.
    """
    if span == 1:
        return x.float(), usable
    x, usable = _pad_to(x, span), _pad_to(usable, span)
    chunks, length = usable.shape
    weight = usable.reshape(chunks, length // span, span).float()
    summed = torch.einsum("cwsd,cws->cwd", x.reshape(chunks, length // span, span, -1).float(), weight)
    return summed / weight.sum(dim=2).clamp_min(1)[..., None], _windows_usable(usable, span)


def pool_running(x: Tensor, usable: Tensor, positions: Tensor, span: int) -> Tensor:
    """The mean of each token's window up to that token: what a causal reader knows of its span so far.

    `x`: `batch pos d`, `positions`: `batch pos` absolute, contiguous within a row. Returns `batch pos d`.
    """
    if span == 1:
        return x.float()
    weight = usable.float()[..., None]
    total, count = (x.float() * weight).cumsum(dim=1), weight.cumsum(dim=1)
    first = (torch.arange(x.shape[1], device=x.device) - positions % span).clamp_min(0)
    before_total = torch.where((first > 0)[..., None], _take(total, first - 1), 0.0)
    before_count = torch.where((first > 0)[..., None], _take(count, first - 1), 0.0)
    return (total - before_total) / (count - before_count).clamp_min(1)


def pool_max(values: Tensor, span: int) -> Tensor:
    """Max over each window: `chunk pos …` gives `chunk window …`."""
    if span == 1:
        return values
    values = _pad_to(values, span)
    return values.reshape(values.shape[0], values.shape[1] // span, span, *values.shape[2:]).amax(dim=2)


def _take(x: Tensor, at: Tensor) -> Tensor:
    return x.gather(1, at.clamp_min(0)[..., None].expand(*at.shape, x.shape[-1]))


def _pad_to(x: Tensor, span: int) -> Tensor:
    missing = -x.shape[1] % span
    if not missing:
        return x
    return torch.cat([x, x.new_zeros(x.shape[0], missing, *x.shape[2:])], dim=1)


def shard_rows(store: ActivationStore, shard: int, point: HookPoint, kind: RowKind) -> tuple[Tensor, Tensor]:
    """All rows of one shard: (`chunk row d`, `chunk row` bool usable). Token rows keep the store's type."""
    x, usable = store.activations(shard, point), store.usable(shard, point)
    return (x, usable) if kind.span == 1 else pool_mean(x, usable, kind.span)


class MixedRows:
    """Batches of shuffled rows, as a function of the step alone.

    Shards are visited in an order drawn per epoch, in groups that fit `buffer_bytes`; rows are shuffled
    within a group. A store that fits is one group: a full shuffle. Groups are cached one at a time.
    """

    def __init__(
        self,
        store: ActivationStore,
        point: HookPoint,
        kind: RowKind,
        *,
        batch: int,
        seed: int,
        buffer_bytes: int = 4 * 2**30,
    ) -> None:
        self.store, self.point, self.kind, self.batch, self.seed = store, point, kind, batch, seed
        self.shards = store.fitting_shards()
        self.counts = {shard: self._count(shard) for shard in self.shards}
        self.n_rows = sum(self.counts.values())
        width = store.info(point).d_model * (2 if kind.span == 1 else 4)
        self.group_rows = max(buffer_bytes // width, max(self.counts.values(), default=0))
        if self.n_rows < batch:
            raise WorkbenchError(
                "too-few-rows",
                f"The store has {self.n_rows} rows of kind {kind} at {point}",
                f"a batch takes {batch}",
                "Capture more text, or lower the batch.",
            )
        self._cached: tuple[tuple[int, ...], Tensor] | None = None
        self._plans: dict[int, list[tuple[tuple[int, ...], int]]] = {}

    def _count(self, shard: int) -> int:
        usable = self.store.usable(shard, self.point)
        return int((usable if self.kind.span == 1 else _windows_usable(usable, self.kind.span)).sum())

    def batch_at(self, step: int) -> dict[str, Tensor]:
        """`{"x": batch d}` for a step: epoch, group and place follow from the step."""
        epoch, left = 0, step
        while left >= (batches := sum(count for _, count in self._plan(epoch))):
            left -= batches
            epoch += 1
        for group, count in self._plan(epoch):
            if left < count:
                rows = self._rows(group)
                order = permutation(len(rows), self.seed, f"rows{group[0]}", epoch)
                return {"x": rows[order[left * self.batch : (left + 1) * self.batch]]}
            left -= count
        raise AssertionError("a plan covers its own batches")

    def _plan(self, epoch: int) -> list[tuple[tuple[int, ...], int]]:
        """The groups of an epoch with their numbers of whole batches."""
        if epoch not in self._plans:
            single = self.n_rows <= self.group_rows
            order = range(len(self.shards)) if single else permutation(len(self.shards), self.seed, "shards", epoch)
            groups: list[list[int]] = [[]]
            held = 0
            for at in order:
                shard = self.shards[int(at)]
                if held + self.counts[shard] > self.group_rows and groups[-1]:
                    groups.append([])
                    held = 0
                groups[-1].append(shard)
                held += self.counts[shard]
            plan = [(tuple(g), sum(self.counts[s] for s in g) // self.batch) for g in groups]
            self._plans[epoch] = [(group, count) for group, count in plan if count]
        return self._plans[epoch]

    def _rows(self, group: tuple[int, ...]) -> Tensor:
        if self._cached is None or self._cached[0] != group:
            self._cached = None
            parts = []
            for shard in group:
                x, usable = shard_rows(self.store, shard, self.point, self.kind)
                parts.append(x[usable])
            self._cached = (group, torch.cat(parts))
        return self._cached[1]


def _windows_usable(usable: Tensor, span: int) -> Tensor:
    padded = _pad_to(usable, span)
    return padded.reshape(padded.shape[0], -1, span).float().sum(dim=2) >= span / 2


def calibration_rows(store: ActivationStore, point: HookPoint, kind: RowKind, rows: int) -> Tensor:
    """Up to `rows` usable rows, `row d` float32, that no dictionary was trained on."""
    parts: list[Tensor] = []
    for shard in store.calibration_shards():
        x, usable = shard_rows(store, shard, point, kind)
        parts.append(x[usable].float())
    held = torch.cat(parts)
    return held[permutation(len(held), 0, "calibration")[:rows]]


def sample_rows(batch_at: Callable[[int], dict[str, Tensor]], rows: int) -> Tensor:
    """About `rows` shuffled rows, `row d` float32, from the first batches."""
    parts: list[Tensor] = []
    while sum(len(part) for part in parts) < rows:
        parts.append(batch_at(len(parts))["x"].float())
    return torch.cat(parts)[:rows]
