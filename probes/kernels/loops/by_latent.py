"""Sums over the places where each latent occurs, latent by latent, so that each of its rows is read once."""

from __future__ import annotations

import numpy as np

from probes.kernels.loops.compiling import Array, loop


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
