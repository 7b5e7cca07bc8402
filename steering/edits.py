"""From levers to edits: what a lever adds to the activations of its level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from probes.activations.rows import pool_running
from probes.errors import WorkbenchError
from probes.hierarchy.probe import Level, Probe
from probes.hooks import Edit, HookPoint, Where, hooked
from probes.latents import Codes, Directions
from probes.operations import Params
from probes.subjects.subject import Subject
from probes.subjects.text_autoregressive import TextAutoregressive
from steering.levers import Lever
from steering.registry import OPERATIONS, READS_PROJECTIONS


@dataclass
class LeverEffect:
    """What a lever did, summed over places: share is |change| / |activation|; `largest` of any place."""

    places: int = 0
    moved: int = 0
    share_sum: float = 0.0
    largest: float = 0.0

    @property
    def share(self) -> float:
        """Mean share of the residual norm over the places that moved."""
        return self.share_sum / self.moved if self.moved else 0.0


@dataclass
class _SpanMemory:
    """Running sums of the window in progress, so that cached generation pools as the whole text would."""

    x: Tensor | None = None
    usable: Tensor | None = None
    positions: Tensor | None = None


def compile_lever(lever: Lever, probe: Probe, subject: Subject, effect: LeverEffect | None = None) -> Edit:
    """The edit of one lever, which reads and writes where its level does.

    Raises `WorkbenchError` for latents the level does not have, and for reading a decoder's direction where
    that decoder does not write.
    """
    level = probe.level(lever.level)
    latents = list(lever.weights)
    n = level.space.n_latents
    wanted = [*latents, *([lever.params.target] if lever.params.target is not None else [])]
    if any(latent >= n or latent < 0 for latent in wanted):
        raise WorkbenchError(
            "no-such-latent",
            f"Level {level.name} has no latent {max(wanted)}",
            f"it has {n}",
            "Choose another.",
        )
    if lever.operation == "swap" and lever.params.target is None:
        raise WorkbenchError("bad-lever", "A swap needs a target", "none is given", "Choose the latent to swap to.")
    writes = level.record.writes
    if writes is not None and lever.operation in READS_PROJECTIONS:
        raise WorkbenchError(
            "bad-lever",
            f"{lever.operation} cannot be applied to level {level.name}",
            f"it reads at {level.record.point.point}, and its directions lie at {writes}",
            "Use scale with strength -1 to take the latent out.",
        )
    operation = OPERATIONS.load(lever.operation)
    donor = _donor_codes(lever, level, subject) if lever.operation == "patch" else None
    weight = torch.zeros(n)
    weight[latents] = torch.tensor([lever.weights[latent] for latent in latents])
    if lever.params.target is not None:
        weight[lever.params.target] = 1.0
    space = unit_directions(level) if lever.operation in READS_PROJECTIONS else level.space
    memory = _SpanMemory()

    def change(x: Tensor, where: Where) -> Tensor:
        masked = level_mask(level, x, where)
        rows = _running_rows(x, ~masked, where, level.rows.span, memory)
        z = space.encode(rows, latents)
        params = Params(lever.params.level, lever.params.target, _aligned(donor, z, where))
        dz = operation(z, level.space.table, params)
        dz = Codes(dz.index, dz.value * weight[dz.index] * lever.strength, dz.n_latents)
        delta = space.change(dz).masked_fill(masked[..., None], 0.0)
        if effect is not None:
            chosen = where.selected(lever.selector, x.shape, x.device) & ~masked
            _note(effect, delta, x if where.written is None else where.written.float(), chosen)
        return delta

    if writes is not None:
        return Edit(writes, lever.selector, change, reads=level.record.point.point)
    return Edit(level.record.point.point, lever.selector, change)


def compile_levers(levers: Sequence[Lever], probe: Probe, subject: Subject) -> tuple[list[Edit], list[LeverEffect]]:
    """Edits of several levers with what each will have done; their order never matters."""
    effects = [LeverEffect() for _ in levers]
    edits = [compile_lever(lever, probe, subject, effect) for lever, effect in zip(levers, effects, strict=True)]
    return edits, effects


def level_mask(level: Level, x: Tensor, where: Where) -> Tensor:
    """`batch pos` bool: places no lever touches (special tokens, padding, sinks and outliers)."""
    assert where.positions is not None
    masked = level.record.point.outliers(x.norm(dim=-1), where.positions)
    for part in (where.special, where.padding):
        if part is not None:
            masked = masked | part.to(masked.device)
    return masked


def unit_directions(level: Level) -> Directions:
    """The level's decoder rows as plain unit directions, read by signed projection."""
    rows = torch.nn.functional.normalize(level.space.w_dec, dim=1)
    return Directions(rows, level.space.table, level.record.point.point)


def direction_edit(
    level: Level, vector: Tensor, amount: float, lever: Lever, effect: LeverEffect | None = None
) -> Edit:
    """Add `amount` (in activation norm) of a unit vector `d` wherever the lever would act."""
    step = torch.nn.functional.normalize(vector.float(), dim=0) * amount

    def change(x: Tensor, where: Where) -> Tensor:
        masked = level_mask(level, x, where)
        delta = step.expand_as(x).masked_fill(masked[..., None], 0.0)
        if effect is not None:
            _note(effect, delta, x, where.selected(lever.selector, x.shape, x.device) & ~masked)
        return delta

    return Edit(level.record.point.point, lever.selector, change)


def _running_rows(x: Tensor, usable: Tensor, where: Where, span: int, memory: _SpanMemory) -> Tensor:
    """The row each token belongs to, as far as it is known at that token (`batch pos d`)."""
    if span == 1:
        return x
    assert where.positions is not None
    fresh = memory.x is None or int(where.positions[0, 0]) == 0 or memory.x.shape[0] != x.shape[0]
    if fresh:
        memory.x, memory.usable, memory.positions = x, usable, where.positions
    else:
        assert memory.x is not None and memory.usable is not None and memory.positions is not None
        memory.x = torch.cat([memory.x, x], dim=1)[:, -(span + x.shape[1]) :]
        memory.usable = torch.cat([memory.usable, usable], dim=1)[:, -(span + x.shape[1]) :]
        memory.positions = torch.cat([memory.positions, where.positions], dim=1)[:, -(span + x.shape[1]) :]
    return pool_running(memory.x, memory.usable, memory.positions, span)[:, -x.shape[1] :]


def _donor_codes(lever: Lever, level: Level, subject: Subject) -> Codes:
    """Codes of the lever's latents on the donor text, `1 pos n_chosen`."""
    if not isinstance(subject, TextAutoregressive):
        raise WorkbenchError(
            "no-donor", "A patch copies from a donor text", f"{subject.name} reads no text", "Use another operation."
        )
    ids = subject.tokenizer(lever.params.donor, return_tensors="pt").input_ids
    if ids.shape[1] == 0:
        raise WorkbenchError("bad-lever", "A patch needs a donor text", "it is empty", "Write a donor text.")

    def read(x: Tensor, where: Where) -> Codes:
        masked = level_mask(level, x.float(), where)
        rows = _running_rows(x.float(), ~masked, where, level.rows.span, _SpanMemory())
        return level.space.encode(rows, list(lever.weights))

    point: HookPoint = level.record.point.point
    with hooked(subject, {point: read}, stop=True) as tape:
        subject.run(ids)
    codes: Codes = tape.last(point)
    return codes


def _aligned(donor: Codes | None, z: Codes, where: Where) -> Codes | None:
    """The donor's codes at the same absolute positions; past its end, what is there (no change)."""
    if donor is None:
        return None
    assert where.positions is not None
    length = donor.value.shape[1]
    at = where.positions.clamp_max(length - 1)
    value = donor.value[0][at]
    inside = (where.positions < length)[..., None]
    return Codes(z.index, torch.where(inside, value, z.value), z.n_latents)


def _note(effect: LeverEffect, delta: Tensor, x: Tensor, chosen: Tensor) -> None:
    share = (delta.norm(dim=-1) / x.norm(dim=-1).clamp_min(1e-9))[chosen]
    moved = share[share > 0]
    effect.places += int(chosen.sum())
    effect.moved += len(moved)
    effect.share_sum += float(moved.sum())
    effect.largest = max(effect.largest, float(moved.max()) if len(moved) else 0.0)
