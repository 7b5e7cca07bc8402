"""Where a lever works: its effect at hook points and noise intervals, each beside a random direction's.

At its own hook point the lever itself is tried. Its latents mean nothing elsewhere; where a prompt asks for the
same, the other points are tried with the difference of means between both prompts, as large for its place.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from probes.addresses import HookPoint, Selector
from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.hierarchy.probe import Probe
from probes.hooks import Edit, Reader, Where
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs
from probes.training.randomness import generator
from steering.controls import Means
from steering.edits import PICTURE_LIMIT, LeverEffect, compile_lever
from steering.levers import Lever
from steering.picture_measures import distance
from steering.picture_runs import Made, Progress, Studio, never, quiet

Interval = tuple[float, float]


class SweepConfig(Frozen):
    """How widely a lever is tried."""

    intervals: int = Field(default=4, description="Equal noise intervals between 0 and 1.", ge=1, le=20)
    points: int = Field(default=4, description="Most hook points, spread over the depth.", ge=1, le=50)
    share: float = Field(default=0.25, description="Size of a direction, as a share of the activation.", gt=0, le=1)
    most_calls: int = Field(default=4000, description="Refuse a sweep of more calls of the denoiser.", ge=1)


class SweepCost(Frozen):
    """What a sweep costs, said before it starts."""

    runs: int = Field(description="Runs of all pictures.")
    calls: int = Field(description="Steps in all; each calls the denoiser on every picture.")


class Tried(Frozen):
    """One place and time: the mean over pictures of the effect, beside that of a random direction of equal size."""

    point: str = Field(description="Hook point.")
    noise: tuple[float, float] = Field(description="Noise interval.")
    by: str = Field(description="lever, or difference of means.")
    effect: float = Field(description="Share of the way to the asked pictures; without asking, the difference.")
    chance: float = Field(description="The same of a random direction.")
    drift: float | None = Field(default=None, description="|difference| / |activation| at the last hook point.")


class PictureSweep(Frozen):
    """Where a lever works."""

    schema_version: int = Field(default=1, description="Version of this format.")
    subject: str
    probe: str
    prompt: str
    asking: str = ""
    seeds: list[int]
    steps: int
    cost: SweepCost
    rows: list[Tried]
    works_at: str = Field(description="One sentence.")


class _Plan(NamedTuple):
    points: tuple[HookPoint, ...]
    intervals: tuple[Interval, ...]
    cost: SweepCost


def plan_sweep(
    subject: ImageDiffusion, probe: Probe, lever: Lever, inputs: ImageInputs, asking: str, config: SweepConfig
) -> _Plan:
    """Where to try and what it costs. Raises `WorkbenchError` for a sweep of more than `most_calls`."""
    own = probe.level(lever.level).point
    others = [point for point in subject.points.suggested if point != own] if asking else []
    points = (own, *_spread(others, config.points - 1))
    edges = [at / config.intervals for at in range(config.intervals + 1)]
    intervals = tuple(itertools.pairwise(edges))
    # Each cell twice: with a random direction too. Before them the pictures of one or both prompts.
    runs = 1 + int(bool(asking)) + 2 * len(points) * len(intervals)
    cost = SweepCost(runs=runs, calls=runs * inputs.steps)
    if cost.calls > config.most_calls:
        raise WorkbenchError(
            "over-budget",
            "The sweep would be too long",
            f"{runs} runs of {inputs.steps} steps are {cost.calls:,} calls of the denoiser, allowed are "
            f"{config.most_calls:,}",
            "Try fewer steps, points or intervals, or allow more calls.",
        )
    return _Plan(points, intervals, cost)


def sweep_lever(
    subject: ImageDiffusion,
    probe: Probe,
    lever: Lever,
    inputs: ImageInputs,
    *,
    asking: str = "",
    config: SweepConfig | None = None,
    progress: Progress = quiet,
    stop: Callable[[], bool] = never,
) -> PictureSweep:
    """Try a lever at hook points and noise intervals; see `plan_sweep` for what it costs.

    Raises `WorkbenchError` as the plan and the lever do, `Stopped` when asked to.
    """
    config = config or SweepConfig()
    plan = plan_sweep(subject, probe, lever, inputs, asking, config)
    with subject.lock:
        studio = Studio(subject, inputs, runs=plan.cost.runs, progress=progress, stop=stop)
        means: dict[tuple[HookPoint, Interval], Means] = {}
        plain = studio.make("unsteered", read=_readers(plan, means, on=False))
        target = studio.make("asking", prompt=asking, read=_readers(plan, means, on=True)) if asking else None
        rows = []
        for point in plan.points:
            for interval in plan.intervals:
                if not any(interval[0] <= noise <= interval[1] for noise in plain.noise.values()):
                    continue
                edits = _edits(subject, probe, lever, inputs, config, means, point, interval)
                rows.append(_tried(studio, plain, target, edits, point, interval, lever, probe))
    return PictureSweep(
        subject=subject.name,
        probe=probe.ref,
        prompt=inputs.prompts[0] if inputs.prompts else "",
        asking=asking,
        seeds=list(inputs.seeds),
        steps=inputs.steps,
        cost=plan.cost,
        rows=rows,
        works_at=_sentence(rows),
    )


def _readers(plan: _Plan, means: dict[tuple[HookPoint, Interval], Means], *, on: bool) -> dict[HookPoint, Reader]:
    """Sums of the cond rows at every point and interval."""

    def reader(point: HookPoint) -> Reader:
        def read(x: Tensor, where: Where) -> None:
            chosen = x[where.selected(Selector(), x.shape, x.device)].float()
            for interval in plan.intervals:
                if where.noise is not None and interval[0] <= where.noise <= interval[1]:
                    means.setdefault((point, interval), Means(x.shape[-1])).add(on, chosen)

        return read

    return {point: reader(point) for point in plan.points}


def _edits(
    subject: ImageDiffusion,
    probe: Probe,
    lever: Lever,
    inputs: ImageInputs,
    config: SweepConfig,
    means: dict[tuple[HookPoint, Interval], Means],
    point: HookPoint,
    interval: Interval,
) -> tuple[Edit, Edit]:
    """What is tried in one cell, and a random direction that is as large there."""
    selector = lever.selector.model_copy(update={"noise": interval})
    sums = means[point, interval]
    draw = torch.randn(sums.sums.shape[1], generator=generator(0, f"sweep {point} {interval}"))
    if point == probe.level(lever.level).point:
        own = lever.model_copy(update={"where": str(selector)})
        effect = LeverEffect()
        edit = compile_lever(own, probe, subject, effect, inputs=inputs)
        return edit, _pushed(point, selector, draw, lambda: effect.share)
    return (
        _pushed(point, selector, sums.difference(), lambda: config.share),
        _pushed(point, selector, draw, lambda: config.share),
    )


def _pushed(point: HookPoint, selector: Selector, vector: Tensor, share: Callable[[], float]) -> Edit:
    """At each cell a step along a direction, as long as a share of the activation there; the share is asked
    when it is used, since it may come from a run before."""
    unit = torch.nn.functional.normalize(vector.float(), dim=0)

    def change(x: Tensor, where: Where) -> Tensor:
        onto = x if where.written is None else where.written.float()
        return min(share(), PICTURE_LIMIT) * onto.norm(dim=-1, keepdim=True) * unit.to(x.device)

    return Edit(point, selector, change)


def _tried(
    studio: Studio,
    plain: Made,
    target: Made | None,
    edits: tuple[Edit, Edit],
    point: HookPoint,
    interval: Interval,
    lever: Lever,
    probe: Probe,
) -> Tried:
    where = f"{point} at noise {interval[1]:g} to {interval[0]:g}"
    made = studio.make(where, [edits[0]])
    chance = studio.make(f"{where}, by chance", [edits[1]])
    drift = made.drift(plain)
    own = point == probe.level(lever.level).point
    return Tried(
        point=str(point),
        noise=interval,
        by="lever" if own else "difference of means",
        effect=round(_effect(made, plain, target), 5),
        chance=round(_effect(chance, plain, target), 5),
        drift=round(sum(drift) / len(drift), 4) if drift else None,
    )


def _effect(made: Made, plain: Made, target: Made | None) -> float:
    """The share of the way from the unsteered to the asked pictures; without these, the size of the change."""
    if target is None:
        whole = distance(made.images, plain.images, None).whole
        return sum(whole) / len(whole)
    way = (target.images - plain.images).flatten(1)
    along = ((made.images - plain.images).flatten(1) * way).sum(dim=1) / way.square().sum(dim=1).clamp_min(1e-9)
    return float(along.mean())


def _spread(points: Sequence[HookPoint], most: int) -> list[HookPoint]:
    """At most so many, evenly spread over the order of the computation."""
    if most <= 0 or not points:
        return []
    places = {round(at * (len(points) - 1) / max(1, most - 1)) for at in range(min(most, len(points)))}
    return [points[at] for at in sorted(places)]


def _sentence(rows: Sequence[Tried]) -> str:
    """The best cell, if it beats chance twice over."""
    if not rows:
        return "No step lies in any interval."
    best = max(rows, key=lambda row: row.effect - abs(row.chance))
    if best.effect <= 2 * abs(best.chance) or best.effect <= 0:
        return "Works nowhere that was tried: no place beats a random direction of equal size twice over."
    low, high = best.noise
    place = f"{best.point}, noise {high:g} to {low:g}"
    return f"Works best at {place} ({best.by}: {best.effect:.3f}, by chance {best.chance:.3f})."
