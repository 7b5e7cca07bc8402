"""Codes of a store under a probe: shard by shard, masked, and pooled to a higher level's rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from probes.activations.frames import Grid, region_of
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
    rows, usable = shard_rows(store, shard, level.places, level.rows)
    inside = usable.any(dim=1)
    if bool(inside.all()):
        codes = level.space.encode(rows)
    else:  # a band takes part of the frames: the others are not worth encoding
        codes = _placed(level.space.encode(rows[inside]), inside)
    return ShardCodes(shard, Codes(codes.index, codes.value * usable[..., None], codes.n_latents), usable)


def _placed(codes: Codes, chunks: Tensor) -> Codes:
    """Codes of the chunks that are True (`chunk` bool), as codes of all of them; the others have none."""
    shape = (len(chunks), *codes.value.shape[1:])
    index, value = codes.index.new_zeros(shape), codes.value.new_zeros(shape)
    index[chunks], value[chunks] = codes.index, codes.value
    return Codes(index, value, codes.n_latents)


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

    `chunk`: number of the chunk each row came from, counted over the shards used; of cells, the prompt.
    """

    low: sparse.csr_matrix
    high: sparse.csr_matrix
    chunk: np.ndarray


def paired(
    store: ActivationStore, split: Split, low: Level, high: Level, *, max_rows: int | None = None
) -> PairedCodes:
    """Rows usable at both levels, lower codes max-pooled over the higher level's span; of cells, rows are
    regions of an image, and both levels' codes are max-pooled over a region's cells and the band's steps."""
    lows, highs, chunks, given, seen = [], [], [], 0, 0
    for shard in store.shards(split):
        if max_rows is not None and given >= max_rows:
            break
        below, above = encode_shard(store, shard, low), encode_shard(store, shard, high)
        if high.rows.of == "cell":
            found = paired_regions(store, shard, (low, below), (high, above))
        else:
            found = _paired_spans(below, above, low, high, seen)
        lows.append(found.low)
        highs.append(found.high)
        chunks.append(found.chunk)
        given, seen = given + found.low.shape[0], seen + len(above.usable)
    return PairedCodes(sparse.vstack(lows).tocsr(), sparse.vstack(highs).tocsr(), np.concatenate(chunks))


def _paired_spans(below: ShardCodes, above: ShardCodes, low: Level, high: Level, seen: int) -> PairedCodes:
    """One shard of a text; `seen`: chunks in the shards before."""
    pooled = pooled_csr(below.codes, low.rows.span, high.rows.span)
    usable = above.usable.reshape(-1).numpy()
    if low.rows.span == high.rows.span:
        usable = usable & below.usable.reshape(-1).numpy()
    chunk = seen + np.arange(len(usable)) // above.usable.shape[1]
    return PairedCodes(pooled[usable], above.codes.csr()[usable], chunk[usable])


class RegionCodes(NamedTuple):
    """Codes of one shard max-pooled to regions, `(image region) n`, and which of these were seen at all."""

    codes: sparse.csr_matrix
    seen: np.ndarray


def paired_regions(
    store: ActivationStore, shard: int, low: tuple[Level, ShardCodes], high: tuple[Level, ShardCodes]
) -> PairedCodes:
    """One shard of images: regions of the coarser of both grids that both levels have cells in."""
    grids = [_grid_of(level) for level, _ in (low, high)]
    regions = min(grids, key=lambda grid: grid[0] * grid[1])
    image, document = store.read(shard, "image")[0].long(), store.documents_of(shard)[0]
    first = torch.from_numpy(np.unique(image.numpy(), return_index=True)[1])
    pools = [pooled_regions(store, found, level, regions, image) for level, found in (low, high)]
    both = pools[0].seen & pools[1].seen
    prompt = document[first].numpy().repeat(regions[0] * regions[1])
    return PairedCodes(pools[0].codes[both], pools[1].codes[both], prompt[both])


def pooled_regions(
    store: ActivationStore, found: ShardCodes, level: Level, regions: Grid, image: Tensor
) -> RegionCodes:
    """Max over a region's cells and over the steps of the level's band. `image`: `chunk`."""
    count = regions[0] * regions[1]
    own = torch.unique(image, return_inverse=True)[1]
    region = region_of(store.cells(found.shard, level.record.point.point), _grid_of(level), regions)
    place = own[:, None] * count + region
    rows = (int(own.max()) + 1) * count
    active = found.codes.active
    where = place[..., None].expand(active.shape)
    codes = csr_max(where[active], found.codes.index[active], found.codes.value[active], (rows, found.codes.n_latents))
    return RegionCodes(codes, np.bincount(place[found.usable].numpy(), minlength=rows) > 0)


def _grid_of(level: Level) -> Grid:
    grid = level.record.point.grid
    if grid is None:
        raise ValueError(f"level {level.name} has rows of cells and no grid")
    return grid
