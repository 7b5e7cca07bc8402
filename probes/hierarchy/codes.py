"""Codes of a store under a probe: shard by shard, masked, and pooled to a higher level's rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from probes.activations.rows import shard_rows
from probes.activations.store import ActivationStore, Split
from probes.hierarchy.probe import Level
from probes.latents import Codes


class ShardCodes(NamedTuple):
    """One shard's codes at a level: `chunk row width`, zero where not `usable` (`chunk row`)."""

    shard: int
    codes: Codes
    usable: Tensor


def encode_shard(store: ActivationStore, shard: int, level: Level) -> ShardCodes:
    rows, usable = shard_rows(store, shard, level.record.point.point, level.rows)
    codes = level.space.encode(rows)
    return ShardCodes(shard, Codes(codes.index, codes.value * usable[..., None], codes.n_latents), usable)


def encoded(store: ActivationStore, split: Split, level: Level, *, max_rows: int | None = None) -> Iterator[ShardCodes]:
    """Codes of a split in order, until at least `max_rows` usable rows were given."""
    given = 0
    for shard in store.shards(split):
        if max_rows is not None and given >= max_rows:
            return
        found = encode_shard(store, shard, level)
        given += int(found.usable.sum())
        yield found


def pooled_csr(codes: Codes, span: int, to_span: int) -> sparse.csr_matrix:
    """Max over windows: codes with rows of `span` tokens to rows of `to_span` tokens, `(chunk window) n`.

    `codes`: `chunk row width`. Rows of the result follow chunks, then windows.
    """
    chunks, rows, _ = codes.value.shape
    if to_span % span:
        raise ValueError("a higher level's span is a multiple of the lower one's")
    factor = to_span // span
    windows = -(-rows // factor)
    row = torch.arange(rows) // factor
    where = (torch.arange(chunks)[:, None] * windows + row)[..., None].expand(codes.value.shape)
    active = codes.value != 0
    return csr_max(where[active], codes.index[active], codes.value[active], (chunks * windows, codes.n_latents))


def csr_max(row: Tensor, column: Tensor, value: Tensor, shape: tuple[int, int]) -> sparse.csr_matrix:
    """A sparse matrix from entries, the largest value winning where a place occurs twice."""
    key = (row.long() * shape[1] + column).numpy()
    order = np.lexsort((-value.numpy(), key))
    key, kept = key[order], value.numpy()[order]
    first = np.concatenate([[True], key[1:] != key[:-1]]) if len(key) else np.zeros(0, dtype=bool)
    key, kept = key[first], kept[first]
    return sparse.csr_matrix((kept, (key // shape[1], key % shape[1])), shape=shape)


class PairedCodes(NamedTuple):
    """Lower codes pooled to the higher level's rows, and the higher codes; one usable row each.

    `chunk`: number of the chunk each row came from, counted over the shards used.
    """

    low: sparse.csr_matrix
    high: sparse.csr_matrix
    chunk: np.ndarray


def paired(
    store: ActivationStore, split: Split, low: Level, high: Level, *, max_rows: int | None = None
) -> PairedCodes:
    """Rows usable at both levels, lower codes max-pooled over the higher level's span."""
    lows, highs, chunks, given, seen = [], [], [], 0, 0
    for shard in store.shards(split):
        if max_rows is not None and given >= max_rows:
            break
        below, above = encode_shard(store, shard, low), encode_shard(store, shard, high)
        pooled = pooled_csr(below.codes, low.rows.span, high.rows.span)
        usable = above.usable.reshape(-1).numpy()
        if low.rows.span == high.rows.span:
            usable = usable & below.usable.reshape(-1).numpy()
        windows = above.usable.shape[1]
        lows.append(pooled[usable])
        highs.append(above.codes.csr()[usable])
        chunks.append((seen + np.arange(len(usable)) // windows)[usable])
        given, seen = given + int(usable.sum()), seen + len(above.usable)
    return PairedCodes(sparse.vstack(lows).tocsr(), sparse.vstack(highs).tocsr(), np.concatenate(chunks))
