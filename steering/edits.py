"""From levers to edits: what a lever adds to the activations of its level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from probes.addresses import Selector
from probes.errors import WorkbenchError
from probes.hierarchy.probe import Level, Probe, refuse_several_places
from probes.hooks import Edit, Where
from probes.latents import Codes, Directions
from probes.operations import Params
from probes.subjects.image_inputs import ImageInputs
from probes.subjects.subject import Subject
from steering.comparison import LeverReport
from steering.donors import donor_of
from steering.levers import Lever
from steering.places import SpanMemory, level_mask, running_rows
from steering.registry import OPERATIONS, READS_PROJECTIONS

# In pictures a larger share of the activation leaves what the subject was trained on; see Lever.limit.
PICTURE_LIMIT = 0.5


@dataclass
class LeverEffect:
    """What a lever did, summed over places: share is |change| / |activation|; `largest` of any place.

    `clipped`: places where the change was cut to the lever's limit. `beyond`: places where a latent it moves
    ended above the largest code seen in training; counted only on pictures, where generation cannot recover.
    """

    places: int = 0
    moved: int = 0
    share_sum: float = 0.0
    largest: float = 0.0
    clipped: int = 0
    beyond: int = 0

    @property
    def share(self) -> float:
        """Mean share of the residual norm over the places that moved."""
        return self.share_sum / self.moved if self.moved else 0.0


def compile_lever(
    lever: Lever,
    probe: Probe,
    subject: Subject,
    effect: LeverEffect | None = None,
    *,
    inputs: ImageInputs | None = None,
) -> Edit:
    """The edit of one lever, which reads and writes where its level does.

    `inputs` are those of the pictures it will act on: a patch needs them to run its donor alike. Raises
    `WorkbenchError` for latents the level does not have, and for reading a decoder's direction where that
    decoder does not write.
    """
    level = probe.level(lever.level)
    refuse_several_places([level])
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
            f"it reads at {level.point}, and its directions lie at {writes}",
            "Use scale with strength -1 to take the latent out.",
        )
    operation = OPERATIONS.load(lever.operation)
    donor = donor_of(lever, level, subject, inputs) if lever.operation == "patch" else None
    weight = torch.zeros(n)
    weight[latents] = torch.tensor([lever.weights[latent] for latent in latents])
    if lever.params.target is not None:
        weight[lever.params.target] = 1.0
    space = unit_directions(level) if lever.operation in READS_PROJECTIONS else level.space
    memory, where_to, limit = SpanMemory(), selector_of(lever, level), limit_of(lever, level)

    def change(x: Tensor, where: Where) -> Tensor:
        masked = level_mask(level, x, where)
        rows = running_rows(x, ~masked, where, level.rows.span, memory)
        z = space.encode(rows, latents)
        params = Params(lever.params.level, lever.params.target, donor(z, where) if donor else None)
        dz = operation(z, level.space.table, params)
        dz = Codes(dz.index, dz.value * weight[dz.index] * lever.strength, dz.n_latents)
        wanted = space.change(dz).masked_fill(masked[..., None], 0.0)
        onto = x if where.written is None else where.written.float()
        delta = within(wanted, onto, limit)
        if effect is not None:
            chosen = where.selected(where_to, x.shape, x.device) & ~masked
            _note(effect, wanted, delta, onto, chosen, where.weights(where_to, x.shape, x.device))
            if level.rows.of == "cell" and writes is None:
                effect.beyond += _beyond(level, wanted_latents(lever), x + delta, chosen & (delta.norm(dim=-1) > 0))
        return delta

    if writes is not None:
        return Edit(writes, where_to, change, reads=level.point)
    return Edit(level.point, where_to, change)


def compile_levers(
    levers: Sequence[Lever], probe: Probe, subject: Subject, *, inputs: ImageInputs | None = None
) -> tuple[list[Edit], list[LeverEffect]]:
    """Edits of several levers with what each will have done; their order never matters."""
    effects = [LeverEffect() for _ in levers]
    edits = [
        compile_lever(lever, probe, subject, effect, inputs=inputs)
        for lever, effect in zip(levers, effects, strict=True)
    ]
    return edits, effects


def lever_report(lever: Lever, effect: LeverEffect, effective: float | None = None) -> LeverReport:
    """What a lever did, for people; `effective`: the strength that reaches the guided output."""
    return LeverReport(
        lever=lever,
        places=effect.places,
        moved=effect.moved,
        share=effect.share,
        largest_share=effect.largest,
        clipped=effect.clipped,
        beyond=effect.beyond,
        effective=effective,
    )


def selector_of(lever: Lever, level: Level) -> Selector:
    """Where a lever acts: its own selector; where that is the plain one, at the noise and on the guidance branch
    its level was read at."""
    selector, plain = lever.selector, Selector()
    own = {name: getattr(level.where, name) for name in ("noise", "branch")}
    left = {name: value for name, value in own.items() if getattr(selector, name) == getattr(plain, name)}
    return selector.model_copy(update=left)


def limit_of(lever: Lever, level: Level) -> float | None:
    """The lever's limit on |change| / |activation|; its own, or half where rows are cells of a picture."""
    return lever.limit if lever.limit is not None or level.rows.of != "cell" else PICTURE_LIMIT


def within(delta: Tensor, x: Tensor, limit: float | None) -> Tensor:
    """The change `batch pos d`, shortened at each place to `limit` times the length of the activation there."""
    if limit is None:
        return delta
    largest = limit * x.norm(dim=-1, keepdim=True)
    size = delta.norm(dim=-1, keepdim=True)
    return torch.where(size > largest, delta * (largest / size.clamp_min(1e-12)), delta)


def wanted_latents(lever: Lever) -> list[int]:
    """Every latent a lever moves, a swap's target included."""
    target = lever.params.target
    return [*lever.weights, *([target] if target is not None and target not in lever.weights else [])]


def unit_directions(level: Level) -> Directions:
    """The level's decoder rows as plain unit directions, read by signed projection."""
    rows = torch.nn.functional.normalize(level.space.w_dec, dim=1)
    return Directions(rows, level.space.table, level.point)


def direction_edit(
    level: Level, vector: Tensor, amount: float, lever: Lever, effect: LeverEffect | None = None
) -> Edit:
    """Add `amount` (in activation norm) of a unit vector `d` wherever the lever would act."""
    step = torch.nn.functional.normalize(vector.float(), dim=0) * amount
    where_to, limit = selector_of(lever, level), limit_of(lever, level)

    def change(x: Tensor, where: Where) -> Tensor:
        masked = level_mask(level, x, where)
        wanted = step.to(x.device).expand_as(x).masked_fill(masked[..., None], 0.0)
        onto = x if where.written is None else where.written.float()
        delta = within(wanted, onto, limit)
        if effect is not None:
            chosen = where.selected(where_to, x.shape, x.device) & ~masked
            _note(effect, wanted, delta, onto, chosen, where.weights(where_to, x.shape, x.device))
        return delta

    return Edit(level.point, where_to, change)


def _note(
    effect: LeverEffect, wanted: Tensor, delta: Tensor, x: Tensor, chosen: Tensor, weights: Tensor | None
) -> None:
    size = delta.norm(dim=-1)
    share = size / x.norm(dim=-1).clamp_min(1e-9)
    share = (share if weights is None else share * weights)[chosen]
    moved = share[share > 0]
    effect.places += int(chosen.sum())
    effect.moved += len(moved)
    effect.share_sum += float(moved.sum())
    effect.largest = max(effect.largest, float(moved.max()) if len(moved) else 0.0)
    effect.clipped += int((chosen & (wanted.norm(dim=-1) > size)).sum())


def _beyond(level: Level, latents: Sequence[int], x: Tensor, moved: Tensor) -> int:
    """At how many of the moved places one of these latents reads more than its largest training code."""
    largest = level.statistics.get("largest")
    if largest is None or not bool(moved.any()):
        return 0
    codes = level.space.encode(x[moved], latents).value
    return int((codes > largest.to(codes)[list(latents)].clamp_min(1e-9)).any(dim=-1).sum())
