"""Levers towards what tells some captions from others, made by rule from contrasts: arms to be compared.

All are given the same choices, to be made on development captions: the form, how many latents, and a strength.
At strength 1 an `add` makes up the difference between both kinds of captions as far as its latents see it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from probes.addresses import HookPoint, Selector
from probes.hierarchy.probe import Level
from probes.hooks import Change, Edit, Where
from steering.arms import Arm
from steering.contrasts import Contrast
from steering.controls import matched_weights
from steering.picture_bench import latent_change

Interval = tuple[float, float]
Form = Literal["add", "swap", "remove", "move"]


class Part(NamedTuple):
    """A change of activations, the noise interval it is made in, and the strength beyond which more changes nothing."""

    change: Change
    noise: Interval
    most: float = math.inf


class Latents(NamedTuple):
    """What is added of latents (`adds`) and which are taken out (`takes`), in typical activations."""

    adds: dict[int, float]
    takes: dict[int, float]


def chosen(level: Level, contrast: Contrast, form: Form, count: int) -> Latents:
    """The latents of a contrast by rule. `add`: the `count` that change most, each by what it changes; `swap`: add
    those that rise most and take out what there is of those that fall most; `remove`: the latter alone."""
    typical = level.space.table.typical.double().numpy()

    def amounts(latents: Sequence[int]) -> dict[int, float]:
        return {latent: float(contrast.codes[latent] / typical[latent]) for latent in latents if typical[latent] > 0}

    if form == "add":
        return Latents(amounts(contrast.largest(count)), {})
    takes = dict.fromkeys(contrast.strongest(count, -1), 1.0)
    return Latents(amounts(contrast.strongest(count)) if form == "swap" else {}, takes)


def at_random(level: Level, latents: Latents, seed: int) -> Latents:
    """Random latents of similar frequency: what is added is as long in all, what is taken out as large each."""
    table = level.space.table
    takes = matched_weights(table, latents.takes, seed) if latents.takes else {}
    if not latents.adds:
        return Latents({}, takes)
    adds = matched_weights(table, latents.adds, seed)
    return Latents(as_long(level, adds, added(level, latents.adds)), takes)


def added(level: Level, weights: Mapping[int, float]) -> Tensor:
    """What weights in typical activations add, `d`."""
    total = torch.zeros(level.space.w_dec.shape[1])
    for latent, weight in weights.items():
        total += weight * level.space.table.typical[latent] * level.space.w_dec[latent]
    return total


def as_long(level: Level, weights: Mapping[int, float], vector: Tensor) -> dict[int, float]:
    """The weights, scaled so that what they add is as long as a vector `d`."""
    scale = float(vector.norm() / added(level, weights).norm().clamp_min(1e-12))
    return {latent: weight * scale for latent, weight in weights.items()}


def parts_of(level: Level, latents: Latents, noise: Interval | None = None) -> list[Part]:
    """The changes at a level's own noise, or at another."""
    where = level.where.noise if noise is None else noise
    parts = []
    if latents.adds:
        parts.append(Part(_adding(added(level, latents.adds)), where))
    if latents.takes:
        scale = latent_change(level.space, latents.takes, "scale")
        # beside what is added, no more is taken out than there is; alone, strength is all there is to choose
        parts.append(Part(lambda x, seen: -scale(x, seen), where, 1.0 if latents.adds else math.inf))
    return parts


def direction_part(contrast: Contrast, form: Form, noise: Interval) -> Part:
    """The difference of means as a lever. `add`: the difference everywhere; `move`: each cell along its direction to
    the mean of the captions that are steered towards; `remove`: back to that mean, where a cell lies beyond it."""
    difference = torch.from_numpy(contrast.difference).float()
    if form == "add":
        return Part(_adding(difference), noise)
    unit, goal = difference / difference.norm().clamp_min(1e-12), torch.from_numpy(contrast.on).float()

    def change(x: Tensor, where: Where) -> Tensor:
        short = (goal.to(x) - x) @ unit.to(x)
        if form == "remove":
            short = short.clamp_min(0)
        return short[..., None] * unit.to(x)

    return Part(change, noise)


def rows_arm(name: str, point: HookPoint, by_rows: Sequence[tuple[tuple[int, ...], Sequence[Part]]]) -> Arm:
    """An arm whose pictures are steered each by its own lever: (numbers of pictures, parts) several times."""

    def edit(rows: tuple[int, ...], part: Part, strength: float) -> Edit:
        wanted = set(rows)

        def change(x: Tensor, where: Where) -> Tensor:
            items = where.items or tuple(range(len(x)))
            mine = [at for at, item in enumerate(items) if item in wanted]
            total = torch.zeros_like(x)
            total[mine] = min(strength, part.most) * part.change(x[mine], where)
            return total

        return Edit(point, Selector(rows=rows, noise=part.noise), change)

    return Arm(name, lambda strength: [edit(rows, part, strength) for rows, parts in by_rows for part in parts])


def _adding(vector: Tensor) -> Change:
    return lambda x, where: vector.to(x).expand_as(x)
