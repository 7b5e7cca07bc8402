"""Where concepts fire: their strongest rows from different documents, streamed over a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from concept_graphs.top_examples import TopExamples, strongest_of
from probes.activations.rows import RowKind
from probes.activations.store import ActivationStore
from probes.hierarchy.codes import encode_shard
from probes.hierarchy.probe import Level
from probes.kernels.strongest import NOBODY
from probes.kernels.strongest import Firings as Fired


class Firings(NamedTuple):
    """Every firing of some latents over some shards; all arrays are `firing`.

    `latent`: position in the list asked for; `row`: row within its chunk; `chunk`: number of the chunk
    over all shards read; `document`: number in the store's index.
    """

    latent: np.ndarray
    value: np.ndarray
    chunk: np.ndarray
    row: np.ndarray
    document: np.ndarray


class Text(NamedTuple):
    """The tokens of the shards read: `tokens` and `usable` are `chunk pos`; `document`, `start` `chunk`."""

    tokens: np.ndarray
    usable: np.ndarray
    document: np.ndarray
    start: np.ndarray
    shard_of: np.ndarray
    row_in_shard: np.ndarray


def firings(
    store: ActivationStore,
    shards: Sequence[int],
    level: Level,
    latents: Sequence[int],
    top: TopExamples | None = None,
) -> tuple[Firings, Text]:
    """All firings of the latents in the shards, and the text they fire in. `top` is filled on the way: encoding
    is what takes the time."""
    wanted = np.full(level.space.n_latents, -1)
    wanted[list(latents)] = np.arange(len(latents))
    parts: list[tuple[np.ndarray, ...]] = []
    texts: list[tuple[np.ndarray, ...]] = []
    seen = 0
    for shard in shards:
        found = encode_shard(store, shard, level)
        document, start = store.documents_of(shard)
        if top is not None:
            top.add(found, document)
        which = torch.from_numpy(wanted)[found.codes.index]
        on = (found.codes.value > 0) & (which >= 0)
        chunk, row, _ = on.nonzero(as_tuple=True)
        parts.append((which[on], found.codes.value[on], chunk + seen, row, document[chunk]))  # type: ignore[arg-type]
        usable = store.usable(shard, level.point)
        rows = torch.arange(len(document))
        texts.append((store.tokens(shard), usable, document, start, torch.full_like(rows, shard), rows))  # type: ignore[arg-type]
        seen += len(document)
    joined = [np.concatenate([np.asarray(part[at]) for part in parts]) for at in range(5)]
    written = [np.concatenate([np.asarray(text[at]) for text in texts]) for at in range(6)]
    return Firings(*joined), Text(*written)


def strongest(found: Firings, n_latents: int, count: int) -> list[np.ndarray]:
    """Per latent, the firings with the largest values, at most one per document, strongest first."""
    numbers = np.arange(len(found.latent))
    best = strongest_of(Fired(found.latent, found.value, numbers, found.document), n_latents, count)
    return [place[place != NOBODY] for place in best.place]


def window(row: int, kind: RowKind, length: int, margin: int) -> tuple[int, int]:
    """The tokens shown around a row: its own tokens and `margin` on either side."""
    return max(0, row * kind.span - margin), min(length, (row + 1) * kind.span + margin)


def token_values(store: ActivationStore, level: Level, shard: int, row: int, latent: int) -> Tensor:
    """How strongly each token of a chunk speaks for a latent, `pos`, never negative.

    For token rows: the codes. For span rows: each token's own pre-activation, since a span's code is the
    mean of its tokens' (before the threshold).
    """
    x = store.activations(shard, level.point)[row].float()
    usable = store.usable(shard, level.point)[row]
    if level.rows.span == 1:
        value = level.space.encode(x, [latent]).value[:, 0]
    else:
        value = level.space.pre_activations(x)[:, latent].clamp_min(0)
    return value * usable
