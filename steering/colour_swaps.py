"""Do levers move what they name? On the world of shapes, where rules read every picture: turn one colour into
another and leave shape, place and everything else as they were.

The latents of a colour are chosen by one rule on other pictures than are steered, and a strength on yet others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from probes.addresses import HookPoint, Selector
from probes.autoencoders.dictionary import Dictionary
from probes.configs import Frozen
from probes.hooks import Change, Where, hooked
from probes.masks import Mask
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.image_inputs import ImageInputs
from probes.worlds.shape_oracles import collateral, look
from probes.worlds.shapes import COLOURS, Thing, every_thing, footprint
from steering.arms import Arm
from steering.controls import matched_weights
from steering.doses import Doses, distinguishing
from steering.picture_bench import Judged, Oracle, PictureBench, Pixels, latent_change, masked_arm

Pair = tuple[int, int]  # of colours: from, to
PAIRS: tuple[Pair, ...] = tuple(permutations(range(len(COLOURS)), 2))


class ColourSwapConfig(Frozen):
    """How colours are swapped."""

    features: int = Field(default=8, description="Latents per colour and hook point.", ge=1, le=64)
    steps: int = Field(default=12, description="Steps of the schedule.", ge=1, le=100)
    guidance: float = Field(default=2.0, description="Guidance scale.", ge=1)
    strengths: tuple[float, ...] = Field(default=(0.0, 0.5, 1.0, 2.0, 4.0), description="Strengths.", min_length=1)
    masked: bool = Field(default=True, description="Steer only where the thing is.")
    branch: str = Field(default="cond", description="Guidance branch that is steered.")


@dataclass(frozen=True)
class Known:
    """What is known of colours before anything is steered, per hook point: the latents of each colour with their
    weights (1 each), and each colour's mean activation where its thing is, `colour d`."""

    latents: dict[HookPoint, list[dict[int, float]]]
    means: dict[HookPoint, Tensor]


def inputs_for(things: Sequence[Thing], seeds: Sequence[int], config: ColourSwapConfig) -> ImageInputs:
    """One picture of each thing, each with its own seed."""
    return ImageInputs(
        prompts=tuple(thing.prompt for thing in things),
        steps=config.steps,
        guidance=config.guidance,
        seeds=tuple(seeds),
    )


def things_of(colour: int) -> list[Thing]:
    """The twelve of one colour."""
    return [thing for thing in every_thing() if thing.colour == colour]


def masks_of(things: Sequence[Thing]) -> list[Mask]:
    """Where each thing is."""
    return [Mask.of(footprint(thing.shape, thing.position).astype(float)) for thing in things]


def learn(
    subject: ImageDiffusion,
    dictionaries: Mapping[HookPoint, Dictionary],
    config: ColourSwapConfig,
    *,
    first_seed: int,
) -> Known:
    """Choose each colour's latents: those whose mean code over its things' cells (all steps, conditional rows)
    exceeds that over the other colours' most. One picture of every thing, seeds from `first_seed` on."""
    things = every_thing()
    masks = masks_of(things)
    inputs = inputs_for(things, range(first_seed, first_seed + len(things)), config)
    readers = {point: _reader(space, masks) for point, space in dictionaries.items()}
    with hooked(subject, readers) as tape:
        subject.run(inputs)
    colour = np.array([thing.colour for thing in things])
    latents, means = {}, {}
    for point in dictionaries:
        codes, rows = (torch.stack(part).mean(dim=0) for part in zip(*tape[point], strict=True))
        table = codes.double().numpy()
        chosen = [distinguishing(table, colour == at, config.features) for at in range(len(COLOURS))]
        latents[point] = [dict.fromkeys(found, 1.0) for found in chosen]
        means[point] = torch.stack([rows[torch.from_numpy(colour == at)].mean(dim=0) for at in range(len(COLOURS))])
    return Known(latents, means)


def _reader(space: Dictionary, masks: Sequence[Mask]) -> Callable[[Tensor, Where], tuple[Tensor, Tensor]]:
    """Mean codes and mean activation over each thing's cells on the conditional rows, `picture n`, `picture d`."""

    def read(x: Tensor, where: Where) -> tuple[Tensor, Tensor]:
        assert where.grid is not None
        own = x.float()[[branch == "cond" for branch in where.branches]]
        weights = torch.stack([mask.weights(where.grid).flatten() for mask in masks])
        weights = weights / weights.sum(dim=1, keepdim=True)
        codes = torch.einsum("pc,pcn->pn", weights, space.encode(own).dense())
        return codes, torch.einsum("pc,pcd->pd", weights, own)

    return read


def oracle_for(things: Sequence[Thing], target: int) -> Oracle:
    """Reads whether things have turned to the target colour, and what else became of them."""

    def read(images: Pixels, plain: Pixels) -> Judged:
        seen = look(images)
        kept = {
            name: (getattr(seen, name) == [getattr(thing, name) for thing in things]).astype(np.float64)
            for name in ("shape", "position")
        }
        turned = (seen.colour == target).astype(np.float64)
        return Judged(turned, kept, collateral(images, plain, things), seen.off_manifold)

    return read


def swap_arm(
    name: str,
    spaces: Mapping[HookPoint, Dictionary],
    latents: Mapping[HookPoint, tuple[Mapping[int, float], Mapping[int, float]]],
    things: Sequence[Thing],
    config: ColourSwapConfig,
) -> Arm:
    """Take the latents of one colour out and put those of another in, a typical activation each."""
    changes: dict[HookPoint, list[tuple[float, Change]]] = {
        point: [
            (-1.0, latent_change(spaces[point], source, "scale")),
            (1.0, latent_change(spaces[point], target, "add")),
        ]
        for point, (source, target) in latents.items()
    }
    return masked_arm(name, changes, masks_of(things) if config.masked else None, _where(config))


def arms_of(
    pair: Pair,
    spaces: Mapping[HookPoint, Dictionary],
    known: Known,
    things: Sequence[Thing],
    config: ColourSwapConfig,
    *,
    seed: int,
) -> dict[str, Arm]:
    """Chosen latents, random ones of similar frequency and the same size of change, and the difference of means."""
    source, target = pair
    chosen = {point: (known.latents[point][source], known.latents[point][target]) for point in spaces}
    matched = {
        point: (matched_weights(spaces[point].table, out, seed), matched_weights(spaces[point].table, into, seed))
        for point, (out, into) in chosen.items()
    }
    differences = {point: known.means[point][target] - known.means[point][source] for point in spaces}

    def adding(vector: Tensor) -> Change:
        return lambda x, where: vector.to(x).expand_as(x)

    means = {point: [(1.0, adding(vector))] for point, vector in differences.items()}
    masks = masks_of(things) if config.masked else None
    return {
        "chosen": swap_arm("chosen", spaces, chosen, things, config),
        "random": swap_arm("random", spaces, matched, things, config),
        "difference of means": masked_arm("difference of means", means, masks, _where(config)),
    }


def swap_colours(
    subject: ImageDiffusion,
    spaces: Mapping[HookPoint, Dictionary],
    known: Known,
    config: ColourSwapConfig,
    *,
    first_seed: int,
    pairs: Sequence[Pair] = PAIRS,
    only: Sequence[str] = ("chosen", "random", "difference of means"),
) -> dict[str, Doses]:
    """Every arm at every strength over the things of every pair, as one column of items per thing and pair."""
    found: dict[str, list[Doses]] = {name: [] for name in only}
    for number, (source, target) in enumerate(pairs):
        things = things_of(source)
        start = first_seed + number * len(things)
        bench = PictureBench.set_up(subject, inputs_for(things, range(start, start + len(things)), config))
        arms = arms_of((source, target), spaces, known, things, config, seed=first_seed + number)
        for name in only:
            found[name].append(bench.doses(arms[name], config.strengths, oracle_for(things, target)))
    return {name: joined(parts) for name, parts in found.items()}


def joined(parts: Sequence[Doses]) -> Doses:
    """The same arm on several sets of items, side by side."""
    first = parts[0]
    kept = {name: np.concatenate([part.kept[name] for part in parts], axis=1) for name in first.kept}
    effect, price, off = (
        np.concatenate([getattr(part, name) for part in parts], axis=1)
        for name in ("effect", "collateral", "off_manifold")
    )
    return Doses(first.arm, first.strengths, effect, kept, price, off)


def _where(config: ColourSwapConfig) -> Selector:
    return Selector.parse(f"branch={config.branch}")
