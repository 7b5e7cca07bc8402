"""Which entries of a row stay: the k largest, or those above a threshold.

Keys: the bits of a float32 read as int32 are ordered like the number itself where it is positive, and are
negative where it is negative. Selection compares keys; what is not positive is never selected.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from probes.kernels.loops.compiling import Array, loop

Key = Any  # numpy.int32

BLOCK = 32
SHIFT = np.int32(2**19)  # 3 to 6 % of a number, in the last places of its key


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
