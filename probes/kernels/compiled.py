"""The loops themselves, compiled by numba on first use and kept in a cache folder.

Only `probes.kernels.fast` imports this. Arrays are C-contiguous; numbers are float32, latents and entries int64.
Sums may be taken in any order (`reassoc`), which is what lets them run in vector registers, but always in the
same one: a result is a function of its inputs, whatever the number of threads. NaN and infinity keep their
meaning, so that a diverging training is still noticed.

Keys: the bits of a float32 read as int32 are ordered like the number itself where it is positive, and are
negative where it is negative. Selection compares keys; what is not positive is never selected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

Array = np.ndarray[Any, Any]
Key = Any  # numpy.int32
Loop = TypeVar("Loop", bound=Callable[..., Any])

BLOCK = 32
SHIFT = np.int32(2**19)  # 3 to 6 % of a number, in the last places of its key


def loop(function: Loop) -> Loop:
    """Compiled without the interpreter's lock, so that threads may share the work."""
    return cast(Loop, njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})(function))


@loop
def _keys_f32(row: Array, bias: Array, keys: Array, maxima: Array) -> None:
    """Keys of `row + bias`, and the largest of each block (-1 where nothing in it is positive)."""
    # Whole blocks have a length the compiler knows, which is what puts them in vector registers.
    for at in range(len(row) // BLOCK):
        best = np.int32(-1)
        for j in range(at * BLOCK, at * BLOCK + BLOCK):
            key = np.float32(row[j] + bias[j]).view(np.int32)
            keys[j] = key
            best = max(best, key)
        maxima[at] = best
    for j in range(len(row) // BLOCK * BLOCK, len(row)):
        key = np.float32(row[j] + bias[j]).view(np.int32)
        keys[j] = key
        maxima[-1] = key if j % BLOCK == 0 else max(maxima[-1], key)


@loop
def _keys_bf16(row: Array, bias: Array, keys: Array, maxima: Array) -> None:
    """The same; `row` holds the upper halves of float32 numbers, as int16."""
    for at in range(len(row) // BLOCK):
        best = np.int32(-1)
        for j in range(at * BLOCK, at * BLOCK + BLOCK):
            wide = np.int32(np.int32(row[j]) << np.int32(16))
            key = np.float32(wide.view(np.float32) + bias[j]).view(np.int32)
            keys[j] = key
            best = max(best, key)
        maxima[at] = best
    for j in range(len(row) // BLOCK * BLOCK, len(row)):
        wide = np.int32(np.int32(row[j]) << np.int32(16))
        key = np.float32(wide.view(np.float32) + bias[j]).view(np.int32)
        keys[j] = key
        maxima[-1] = key if j % BLOCK == 0 else max(maxima[-1], key)


@loop
def _kth_largest(part: Array, k: int) -> Key:
    """The k-th largest (k from 1) of `part`, which is left in another order."""
    low, high, want = 0, len(part) - 1, k - 1
    while low < high:
        a, b, c = part[low], part[(low + high) // 2], part[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while part[i] > pivot:
                i += 1
            while part[j] < pivot:
                j -= 1
            if i <= j:
                part[i], part[j] = part[j], part[i]
                i += 1
                j -= 1
        if want <= j:
            high = j
        elif want >= i:
            low = i
        else:
            break
    return part[want]


@loop
def _lower_bound(maxima: Array, scratch: Array, k: int, guess: Key) -> Key:
    """A key that at least k entries reach, as high as blocks can tell; 1 (the smallest positive) where fewer do.

    At least as many entries as blocks reach a key. A little below the last row's edge is the guess; it serves
    when k to 3k blocks reach it.
    """
    if guess > SHIFT:
        guess -= SHIFT
        count = 0
        for at in range(len(maxima)):
            count += maxima[at] >= guess
        if k <= count <= 3 * k:
            return guess
    if len(maxima) < k:
        return np.int32(1)
    scratch[: len(maxima)] = maxima
    return max(_kth_largest(scratch[: len(maxima)], k), np.int32(1))


@loop
def _largest(
    keys: Array,
    maxima: Array,
    found: Array,
    place: Array,
    scratch: Array,
    k: int,
    guess: Key,
    index: Array,
    value: Array,
) -> int:
    """The k largest positive entries of one row, in the order of their places; returns the key of the
    smallest where there were more. Of equal ones at the edge the first win, so the guess changes nothing but time."""
    least = _lower_bound(maxima, scratch, k, guess)
    count = 0
    for at in range(len(maxima)):
        if maxima[at] >= least:
            for j in range(at * BLOCK, min((at + 1) * BLOCK, len(keys))):
                found[count] = keys[j]
                place[count] = j
                count += keys[j] >= least
    if count > k:
        scratch[:count] = found[:count]
        least = _kth_largest(scratch[:count], k)
        above = 0
        for at in range(count):
            above += found[at] > least
        equal = k - above
    else:
        least, equal = np.int32(0), 0
    numbers, kept = found.view(np.float32), 0
    for at in range(count):
        key = found[at]
        if key > least or (key == least and equal > 0):
            equal -= key == least
            value[kept] = numbers[at]
            index[kept] = place[at]
            kept += 1
    for at in range(kept, k):
        value[at] = 0
        index[at] = 0
    return least


@loop
def select_f32(pre: Array, bias: Array, k: int, index: Array, value: Array) -> None:
    """The k largest positive entries of each row of `pre + bias`: `row n` into `row k`, zeros where fewer."""
    rows, n = pre.shape
    keys, maxima = np.empty(n, np.int32), np.empty((n + BLOCK - 1) // BLOCK, np.int32)
    found, place, scratch = np.empty(n + 1, np.int32), np.empty(n + 1, np.int32), np.empty(n + 1, np.int32)
    guess: Key = np.int32(0)
    for b in range(rows):
        _keys_f32(pre[b], bias, keys, maxima)
        guess = _largest(keys, maxima, found, place, scratch, k, guess, index[b], value[b])


@loop
def select_bf16(pre: Array, bias: Array, k: int, index: Array, value: Array) -> None:
    """`select_f32` of a bfloat16 product, given as int16 bits; the bias is float32."""
    rows, n = pre.shape
    keys, maxima = np.empty(n, np.int32), np.empty((n + BLOCK - 1) // BLOCK, np.int32)
    found, place, scratch = np.empty(n + 1, np.int32), np.empty(n + 1, np.int32), np.empty(n + 1, np.int32)
    guess: Key = np.int32(0)
    for b in range(rows):
        _keys_bf16(pre[b], bias, keys, maxima)
        guess = _largest(keys, maxima, found, place, scratch, k, guess, index[b], value[b])


@loop
def keep_best(index: Array, score: Array, k: int, kept_index: Array, kept_value: Array) -> None:
    """Of the candidates of each row (`row c`) the k with the largest positive scores, in their order."""
    rows, width = score.shape
    scratch = np.empty(width, np.int32)
    for b in range(rows):
        keys = score[b].view(np.int32)
        scratch[:] = keys
        least = max(_kth_largest(scratch, k), np.int32(1))
        equal = k
        for j in range(width):
            equal -= keys[j] > least
        kept = 0
        for j in range(width):
            if keys[j] > least or (keys[j] == least and equal > 0):
                equal -= keys[j] == least
                kept_value[b, kept] = score[b, j]
                kept_index[b, kept] = index[b, j]
                kept += 1
        for j in range(kept, k):
            kept_value[b, j] = 0
            kept_index[b, j] = 0


@loop
def count_above(pre: Array, bias: Array, threshold: Array, counts: Array) -> None:
    """How many of each row of `pre + bias` (`row n`) exceed their threshold (`n`)."""
    for b in range(len(pre)):
        row, count = pre[b], 0
        for j in range(len(row)):
            count += row[j] + bias[j] > threshold[j]
        counts[b] = count


@loop
def take_above(pre: Array, bias: Array, threshold: Array, index: Array, value: Array) -> None:
    """Those that do, in their order; the places left over stay as they are."""
    for b in range(len(pre)):
        row, kept = pre[b], 0
        for j in range(len(row)):
            if row[j] + bias[j] > threshold[j]:
                value[b, kept] = row[j] + bias[j]
                index[b, kept] = j
                kept += 1


@loop
def postings(index: Array, value: Array, starts: Array, entries: Array) -> None:
    """Where each latent occurs: entry numbers of `index` (flat) whose value is not 0, latent by latent.

    `starts`: `n + 2`, zero; afterwards latent i has entries[starts[i] : starts[i + 1]], in rising order.
    """
    for e in range(len(index)):
        if value[e] != 0:
            starts[index[e] + 2] += 1
    for i in range(2, len(starts)):
        starts[i] += starts[i - 1]
    for e in range(len(index)):
        if value[e] != 0:
            i = index[e] + 1
            entries[starts[i]] = e
            starts[i] += 1


@loop
def score_entries(
    starts: Array, entries: Array, width: int, low: int, high: int, x: Array, rows: Array, bias: Array, score: Array
) -> None:
    """score[e] = x[row of e] · rows[i] + bias[i] for the entries of latents low to high."""
    for i in range(low, high):
        row, shift = rows[i], bias[i]
        for at in range(starts[i], starts[i + 1]):
            e = entries[at]
            source = x[e // width]
            total = np.float32(0)
            for j in range(len(row)):
                total += source[j] * row[j]
            score[e] = total + shift


@loop
def decoder_gradients(
    starts: Array,
    entries: Array,
    width: int,
    low: int,
    high: int,
    grad: Array,
    value: Array,
    rows: Array,
    grad_value: Array,
    grad_rows: Array,
) -> None:
    """What decoding passes back, latent by latent, each of its rows read once.

    grad_value[e] = grad[b] · rows[i] and grad_rows[i] = Σ value[e] · grad[b] over the entries e = (b, ·) of i.
    """
    for i in range(low, high):
        row, target = rows[i], grad_rows[i]
        target[:] = 0
        for at in range(starts[i], starts[i + 1]):
            e = entries[at]
            source, v, total = grad[e // width], value[e], np.float32(0)
            for j in range(len(row)):
                total += source[j] * row[j]
                target[j] += v * source[j]
            grad_value[e] = total


@loop
def accumulate(
    starts: Array,
    entries: Array,
    width: int,
    low: int,
    high: int,
    weight: Array,
    source: Array,
    out: Array,
    total: Array,
) -> None:
    """out[i] = Σ weight[e] · source[b] and total[i] = Σ weight[e] over the entries e = (b, ·) of latent i."""
    for i in range(low, high):
        target = out[i]
        target[:] = 0
        summed = np.float32(0)
        for at in range(starts[i], starts[i + 1]):
            e = entries[at]
            row, w = source[e // width], weight[e]
            summed += w
            for j in range(len(target)):
                target[j] += w * row[j]
        total[i] = summed


@loop
def remove_along(grad: Array, rows: Array, low: int, high: int) -> None:
    """grad[i] -= (grad[i] · rows[i]) rows[i]."""
    for i in range(low, high):
        g, row, along = grad[i], rows[i], np.float32(0)
        for j in range(len(row)):
            along += g[j] * row[j]
        for j in range(len(row)):
            g[j] -= along * row[j]


@loop
def normalise(rows: Array, low: int, high: int, epsilon: Any) -> None:
    """rows[i] /= ‖rows[i]‖ + epsilon."""
    for i in range(low, high):
        row, square = rows[i], np.float32(0)
        for j in range(len(row)):
            square += row[j] * row[j]
        inverse = np.float32(1) / (np.sqrt(square) + epsilon)
        for j in range(len(row)):
            row[j] *= inverse


@loop
def keep_strongest(
    latent: Array,
    value: Array,
    place: Array,
    document: Array,
    best_value: Array,
    best_place: Array,
    best_document: Array,
) -> None:
    """Firings take their places among the best of their latent, one per document, strongest first."""
    last = best_value.shape[1] - 1
    for e in range(len(latent)):
        i, v = latent[e], value[e]
        if not v > best_value[i, last]:
            continue
        at = last
        for j in range(last):
            if best_document[i, j] == document[e]:
                at = j
                break
        if best_document[i, at] == document[e] and best_value[i, at] >= v:
            continue
        while at > 0 and best_value[i, at - 1] < v:
            best_value[i, at] = best_value[i, at - 1]
            best_place[i, at] = best_place[i, at - 1]
            best_document[i, at] = best_document[i, at - 1]
            at -= 1
        best_value[i, at], best_place[i, at], best_document[i, at] = v, place[e], document[e]
