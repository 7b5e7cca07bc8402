"""The same operations on the compiled loops: float32 on the CPU. `probes.kernels.choice` says when.

Values and gradients are float32 sums like those of `plain`, taken in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from probes.kernels import plain
from probes.kernels.loops import by_latent, keeping, selecting
from probes.kernels.loops import rows as row_loops
from probes.kernels.loops.compiling import Array
from probes.kernels.strongest import Best, Firings
from probes.kernels.threads import SMALLEST, shared

BUFFER = 2**24  # bytes of pre-activations that exist at a time: they should fit into the cache


class Postings(NamedTuple):
    """Where each latent occurs: entries[starts[i] : starts[i + 1]] are places in the flattened codes."""

    starts: Array
    entries: Array
    width: int

    @classmethod
    def of(cls, index: Tensor, weight: Tensor, n: int) -> Postings:
        """Of `row width` codes; entries of weight zero are left out."""
        starts, entries = np.zeros(n + 2, dtype=np.int64), np.empty(index.numel(), dtype=np.int64)
        by_latent.postings(_array(index).reshape(-1), _array(weight).reshape(-1), starts, entries)
        return cls(starts, entries, index.shape[1])

    def cuts(self, parts: int) -> list[int]:
        """Latents cut into parts with about as many entries each."""
        n = len(self.starts) - 2
        wanted = self.starts[n] * np.arange(1, parts) // parts
        return [0, *np.searchsorted(self.starts[: n + 1], wanted).tolist(), n]


def select(centred: Tensor, w_enc: Tensor, b_enc: Tensor, k: int, *, narrow: bool = False) -> tuple[Tensor, Tensor]:
    """See `plain.select`. Within a row latents come in order, and what is not positive is left out: such
    entries have value 0 and index 0. Of equal values at the edge the first latent wins."""
    wide = min(k + plain.SPARE, len(w_enc)) if narrow else k
    value, index = torch.empty(len(centred), wide), torch.empty(len(centred), wide, dtype=torch.long)
    values, indices, bias = _array(value), _array(index), _array(b_enc)
    choose = selecting.select_bf16 if narrow else selecting.select_f32
    for at, pre in _products(centred, w_enc, narrow=narrow):
        chosen, numbers = indices[at : at + len(pre)], values[at : at + len(pre)]
        shared(partial(_choose, choose, pre, bias, wide, chosen, numbers), len(pre))
    return _scored(centred, w_enc, b_enc, index, value, k) if narrow else (value, index)


def above(centred: Tensor, w_enc: Tensor, b_enc: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
    """See `plain.above`. Within a row latents come in order."""
    bias, edge = _array(b_enc), _array(threshold)
    found: list[tuple[Tensor, Tensor]] = []
    for _, pre in _products(centred, w_enc):
        counts = np.empty(len(pre), dtype=np.int64)
        selecting.count_above(pre, bias, edge, counts)
        value = torch.zeros(len(pre), max(int(counts.max()), 1))
        index = torch.zeros(value.shape, dtype=torch.long)
        selecting.take_above(pre, bias, edge, _array(index), _array(value))
        found.append((value, index))
    width = max((value.shape[1] for value, _ in found), default=1)
    padded = [tuple(F.pad(part, (0, width - part.shape[1])) for part in pair) for pair in found]
    if not padded:
        return torch.zeros(0, 1), torch.zeros(0, 1, dtype=torch.long)
    value, index = (torch.cat(column) for column in zip(*padded, strict=True))
    return value, index


def accumulate(index: Tensor, weight: Tensor, source: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """See `plain.accumulate`."""
    places = Postings.of(index, weight, n)
    out, total = torch.empty(n, source.shape[1]), torch.empty(n)
    given = _array(weight).reshape(-1), _array(source), _array(out), _array(total)
    shared(lambda a, b: by_latent.accumulate(*places, a, b, *given), n, places.cuts)
    return out, total


def decoder_gradients(grad: Tensor, value: Tensor, index: Tensor, w_dec: Tensor) -> tuple[Tensor, Tensor]:
    """What decoding Σ_j value[b, j] · w_dec[index[b, j]] passes back: to `value` and to `w_dec`.

    `grad`: `batch d`; `value`, `index`: `batch k`. Entries of value zero get no gradient.
    """
    places = Postings.of(index, value, len(w_dec))
    to_value, to_rows = torch.zeros(value.shape), torch.empty(w_dec.shape)
    given = _array(grad), _array(value).reshape(-1), _array(w_dec), _array(to_value).reshape(-1), _array(to_rows)
    shared(lambda a, b: by_latent.decoder_gradients(*places, a, b, *given), len(w_dec), places.cuts)
    return to_value, to_rows


def remove_along(grad: Tensor, rows: Tensor) -> None:
    """See `plain.remove_along`."""
    shared(lambda a, b: row_loops.remove_along(_array(grad), _array(rows), a, b), len(rows))


def normalise(rows: Tensor) -> None:
    """See `plain.normalise`."""
    epsilon = np.float32(torch.finfo(torch.float32).eps)
    shared(lambda a, b: row_loops.normalise(_array(rows), a, b, epsilon), len(rows))


def keep_strongest(found: Firings, best: Best) -> None:
    """See `probes.kernels.strongest`."""
    latent, place, document = (np.ascontiguousarray(part, dtype=np.int64) for part in (found[0], *found[2:]))
    keeping.keep_strongest(latent, np.ascontiguousarray(found.value, dtype=np.float32), place, document, *best)


def _products(centred: Tensor, w_enc: Tensor, *, narrow: bool = False) -> Iterator[tuple[int, Array]]:
    """(first row, `row n` products) of a few rows at a time; bfloat16 ones as int16 bits. The next ones take
    the place of the last."""
    kind = torch.bfloat16 if narrow else torch.float32
    rows, weights = centred.to(kind), w_enc.to(kind)
    chunk = max(SMALLEST, BUFFER // (len(weights) * kind.itemsize))
    buffer = torch.empty(min(chunk, len(rows)), len(weights), dtype=kind)
    for at in range(0, len(rows), chunk):
        part = rows[at : at + chunk]
        pre = torch.mm(part, weights.T, out=buffer[: len(part)])
        yield at, (pre.view(torch.int16) if narrow else pre).numpy()


def _choose(
    choose: Callable[..., None], pre: Array, bias: Array, k: int, index: Array, value: Array, low: int, high: int
) -> None:
    choose(pre[low:high], bias, k, index[low:high], value[low:high])


def _scored(
    centred: Tensor, w_enc: Tensor, b_enc: Tensor, index: Tensor, value: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """The k best of the candidates by their exact pre-activations. Latent by latent: the weights are read once,
    and the rows, which are fewer, stay in the cache."""
    places = Postings.of(index, value, len(w_enc))
    score = torch.zeros(value.shape)
    given = _array(centred), _array(w_enc), _array(b_enc), _array(score).reshape(-1)
    shared(lambda a, b: by_latent.score_entries(*places, a, b, *given), len(w_enc), places.cuts)
    best, chosen = torch.empty(len(index), k), torch.empty(len(index), k, dtype=torch.long)
    selecting.keep_best(_array(index), _array(score), k, _array(chosen), _array(best))
    return best, chosen


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().contiguous().numpy()
    return array
