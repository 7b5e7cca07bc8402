"""Rows of a store: what a dictionary encodes, one at a time, and their mixing into batches.

A row is a token, a cell of an image, or a span: the mean over a window of tokens. Masked tokens (padding,
special, outliers) are no rows and take no part in a span's mean. A selector's noise interval chooses frames.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from probes.activations.mixing import RollingOrder
from probes.activations.places import Places
from probes.activations.store import ActivationStore
from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.training.randomness import permutation


class RowKind(Frozen):
    """Token or cell rows (span 1), or means over windows of `span` tokens counted from the chunk's start."""

    span: int = Field(default=1, description="Tokens per row; 1 is one row per token.", ge=1, le=4096)
    of: Literal["token", "cell"] = Field(default="token", description="What a place is: a token, or a cell of a grid.")

    @model_validator(mode="after")
    def _cells_alone(self) -> RowKind:
        if self.of == "cell" and self.span != 1:
            raise ValueError("a cell is a row by itself: there is no span of cells")
        return self

    def __str__(self) -> str:
        return self.of if self.span == 1 else f"span({self.span})"

    @classmethod
    def parse(cls, text: str) -> RowKind:
        match = re.fullmatch(r"span\((\d+)\)", text)
        if text not in ("token", "cell") and match is None:
            raise WorkbenchError("bad-row", f"{text!r} is no kind of row", "unknown", "Use token, cell or span(16).")
        return cls(span=int(match[1])) if match else cls(of="cell" if text == "cell" else "token")

    @classmethod
    def in_store(cls, store: ActivationStore, span: int) -> RowKind:
        """The rows of a store: its cells where it is of images, else tokens or spans of them."""
        return cls(of="cell") if store.index.fed_with == "images" else cls(span=span)

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
    return summed / weight.sum(dim=2).clamp_min(1)[..., None], windows_usable(usable, span)


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


def shard_rows(store: ActivationStore, shard: int, places: Places, kind: RowKind) -> tuple[Tensor, Tensor]:
    """All rows of one shard: (`chunk row d`, `chunk row` bool usable). Token and cell rows keep the store's type.

    A row of several hook points is usable where it is at all of them; what is predicted is not looked at.
    """
    if places.beside:
        parts, flags = zip(
            *(shard_rows(store, shard, Places(one, places.where), kind) for one in places.read), strict=True
        )
        return torch.cat(parts, dim=-1), torch.stack(flags).all(dim=0)
    x, usable = store.activations(shard, places.point), store.usable(shard, places.point, places.where)
    return (x, usable) if kind.span == 1 else pool_mean(x, usable, kind.span)


def shard_pairs(store: ActivationStore, shard: int, places: Places, kind: RowKind) -> tuple[Tensor, Tensor, Tensor]:
    """(what is read `chunk row d_in`, what is to be rebuilt `chunk row d_out`, usable `chunk row`): the same rows
    twice where nothing else is predicted."""
    x, usable = shard_rows(store, shard, places, kind)
    if places.target is None:
        return x, x, usable
    target, also = shard_rows(store, shard, Places(places.target, places.where), kind)
    return x, target, usable & also


class MixedRows:
    """Batches of shuffled rows, and of what they predict, as a function of the step alone.

    A store that fits `buffer_bytes` is shuffled whole, anew each epoch. A larger one streams: shards in an
    order drawn per epoch, through a rolling buffer that mixes neighbours apart (see `mixing`). A last
    batch that is not full is left out.
    """

    def __init__(
        self,
        store: ActivationStore,
        places: Places,
        kind: RowKind,
        *,
        batch: int,
        seed: int,
        buffer_bytes: int = 4 * 2**30,
    ) -> None:
        self.store, self.places, self.kind, self.batch, self.seed = store, places, kind, batch, seed
        self.d_in = sum(store.info(one).d_model for one in places.read)
        self.shards = store.fitting_shards()
        self.counts = {shard: self._count(shard) for shard in self.shards}
        self.n_rows = sum(self.counts.values())
        if self.n_rows < batch:
            raise WorkbenchError(
                "too-few-rows",
                f"The store has {self.n_rows} rows of kind {kind} at {places}",
                f"a batch takes {batch}",
                "Capture more, or lower the batch.",
            )
        width = sum(store.info(one).d_model for one in places.every) * (2 if kind.span == 1 else 4)
        self._held: _Whole | _Rolling
        if self.n_rows * width <= buffer_bytes:
            self._held = _Whole(self)
        else:
            self._held = _Rolling(self, max(1, buffer_bytes // width // 2))

    def _count(self, shard: int) -> int:
        every = [self.store.usable(shard, point, self.places.where) for point in self.places.every]
        if self.kind.span > 1:
            every = [windows_usable(usable, self.kind.span) for usable in every]
        return int(torch.stack(every).all(dim=0).sum())

    def rows_of(self, shard: int) -> Tensor:
        """The usable rows of one shard, in the order of the store, each with what it predicts after it."""
        x, target, usable = shard_pairs(self.store, shard, self.places, self.kind)
        return x[usable] if self.places.target is None else torch.cat([x[usable], target[usable]], dim=1)

    def batch_at(self, step: int) -> dict[str, Tensor]:
        """`x`, `batch d_in`, for a step, and `target`, `batch d_out`, where another hook point is predicted: epoch and
        place follow from the step."""
        epoch, place = divmod(step, self.n_rows // self.batch)
        rows = self._held.rows(epoch, place * self.batch, (place + 1) * self.batch)
        if self.places.target is None:
            return {"x": rows}
        return {"x": rows[:, : self.d_in], "target": rows[:, self.d_in :]}


class _Whole:
    """All rows in memory, in an order of their own per epoch."""

    def __init__(self, source: MixedRows) -> None:
        self.source = source
        self._rows: Tensor | None = None
        self._order: tuple[int, Tensor] = (-1, torch.zeros(0))

    def rows(self, epoch: int, start: int, end: int) -> Tensor:
        if self._rows is None:
            self._rows = self._read()
        if self._order[0] != epoch:
            stream = f"rows{self.source.shards[0]}"
            self._order = (epoch, permutation(len(self._rows), self.source.seed, stream, epoch))
        return self._rows[self._order[1][start:end]]

    def _read(self) -> Tensor:
        """Shard after shard into one tensor: joining them would hold everything twice."""
        every, at = None, 0
        for shard in self.source.shards:
            rows = self.source.rows_of(shard)
            every = rows.new_empty(self.source.n_rows, rows.shape[1]) if every is None else every
            every[at : at + len(rows)] = rows
            at += len(rows)
        assert every is not None
        return every


class _Rolling:
    """A buffer of at most two windows of rows: a block of arrivals, and what the block before left in it."""

    def __init__(self, source: MixedRows, window: int) -> None:
        self.source, self.window = source, window
        self._buffer: Tensor | None = None
        self._at: tuple[int, int] | None = None  # epoch and block the buffer is filled for
        self._leaving = torch.zeros(0, dtype=torch.long)
        self._order: RollingOrder | None = None
        self._shards: list[int] = []

    def rows(self, epoch: int, start: int, end: int) -> Tensor:
        if self._order is None or self._order.epoch != epoch:
            self._order = RollingOrder(self.source.n_rows, self.window, self.source.seed, epoch)
            drawn = permutation(len(self.source.shards), self.source.seed, "shards", epoch)
            self._shards = [self.source.shards[int(number)] for number in drawn]
        parts = []
        while start < end:
            block = int(torch.searchsorted(self._order.ends, start, right=True))
            self._fill(self._order, block)
            assert self._buffer is not None
            first = int(self._order.ends[block - 1]) if block else 0
            until = min(end, int(self._order.ends[block]))
            parts.append(self._buffer[self._leaving[start - first : until - first]])
            start = until
        return torch.cat(parts)

    def _fill(self, order: RollingOrder, block: int) -> None:
        """Make the buffer hold what can leave in a block's time: late rows of the block before, then its own."""
        if self._at == (order.epoch, block):
            return
        filled = 0
        if block:
            began = len(order.late(block - 2)) if block > 1 else 0
            if self._at != (order.epoch, block - 1):  # not streamed here: read what was there once more
                began = 0
                self._read(order.block(block - 1), 0)
            assert self._buffer is not None
            kept = self._buffer[began + order.late(block - 1)]
            filled = len(kept)
            self._buffer[:filled] = kept
        if block < order.blocks:
            self._read(order.block(block), filled)
        self._leaving = order.leaving(block)
        self._at = (order.epoch, block)

    def _read(self, arrivals: range, at: int) -> None:
        """Read a range of arrivals into the buffer, from a place in it on."""
        self._at = None
        began = 0
        for shard in self._shards:
            ended = began + self.source.counts[shard]
            first, last = max(began, arrivals.start), min(ended, arrivals.stop)
            if first < last:
                rows = self.source.rows_of(shard)[first - began : last - began]
                if self._buffer is None:
                    # Empty pages cost nothing until they are written: two windows are the bound.
                    self._buffer = rows.new_empty(2 * self.window, rows.shape[1])
                self._buffer[at : at + len(rows)] = rows
                at += len(rows)
            began = ended


def windows_usable(usable: Tensor, span: int) -> Tensor:
    """Which windows of `chunk pos` bool are rows, `chunk window`: at least half of their span is usable."""
    padded = _pad_to(usable, span)
    return padded.reshape(padded.shape[0], -1, span).float().sum(dim=2) >= span / 2


def calibration_rows(store: ActivationStore, places: Places, kind: RowKind, rows: int) -> Tensor:
    """Up to `rows` usable rows, `row d` float32, that no dictionary was trained on."""
    parts: list[Tensor] = []
    for shard in store.calibration_shards():
        x, usable = shard_rows(store, shard, places, kind)
        parts.append(x[usable].float())
    held = torch.cat(parts)
    return held[permutation(len(held), 0, "calibration")[:rows]]


def sample_rows(batch_at: Callable[[int], Mapping[str, Tensor]], rows: int) -> dict[str, Tensor]:
    """About `rows` shuffled rows from the first batches, by observation: `x`, and `target` where there is one;
    `row d` float32."""
    batches = [batch_at(0)]
    while sum(len(batch["x"]) for batch in batches) < rows:
        batches.append(batch_at(len(batches)))
    names = [name for name in ("x", "target") if name in batches[0]]
    return {name: torch.cat([batch[name].float() for batch in batches])[:rows] for name in names}
