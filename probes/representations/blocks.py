"""Constraints that split the latents into blocks: is what belongs to a block in it, and nowhere else?

Which factors belong to a block follows from the truth of the world, after training and for scoring alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from probes.metrics.information import Floats, block_information
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.worlds.factors import FactorWorld

Places = Sequence[int]
NAMES = ("block_r2", "block_leak", "block_leak_floor")


class Unmeasured(ValueError):
    """Why a number is left out."""


def by_domain(world: FactorWorld) -> Mapping[str, Places]:
    """Factors that are alike in all domains, and those that are not."""
    if world.moved is None:
        raise Unmeasured("it is not known which factors of this world change with the domain")
    return {"still": np.flatnonzero(~world.moved).tolist(), "moving": np.flatnonzero(world.moved).tolist()}


def by_blanket(world: FactorWorld) -> Mapping[str, Places]:
    """Parents, spouses and children of the first answer, and the rest; the answer itself is in no block."""
    if not world.asked:
        raise Unmeasured("no factor of this world is asked for")
    answer, edges = world.asked[0], world.edges
    parents, children = edges[:, answer], edges[answer]
    spouses = edges[:, children].any(axis=1) & ~parents & ~children
    found = {"parents": parents, "spouses": spouses, "children": children, "rest": ~(parents | spouses | children)}
    return {name: [int(at) for at in np.flatnonzero(there) if at != answer] for name, there in found.items()}


DIVISIONS: Mapping[str, Callable[[FactorWorld], Mapping[str, Places]]] = {"domains": by_domain, "blanket": by_blanket}


def block_values(
    constraint: LatentConstraint | None, model: LatentModel, world: FactorWorld, codes: Floats, factors: Floats
) -> tuple[dict[str, float], dict[str, str]]:
    """(numbers, why a number is left out) of the blocks of a constraint; nothing of one that has none.

    R² of a block's factors from its own latents, and its leak: the mean R² of the other blocks' factors from them.
    `block_r2` and `block_leak` are means over the blocks that have factors; `block_leak_floor` is the leak of the
    factors themselves, which cause each other.
    """
    if constraint is None or not constraint.divides:
        return {}, {}
    try:
        own = DIVISIONS[constraint.divides](world)
        latents = constraint.blocks(model)
        _refuse_one_block(latents, own)
        names = [name for name in latents if latents[name] and own[name]]
        truth = [factors[:, own[name]] for name in names]
        found = block_information([codes[:, latents[name]] for name in names], truth)
        floor = block_information(truth, truth)
    except ValueError as error:
        return {}, dict.fromkeys(NAMES, str(error))
    means = [float(part.mean()) for part in (found.own, found.leak, floor.leak)]
    values = dict(zip(NAMES, means, strict=True))
    for at, name in enumerate(names):
        values |= {f"block.{name}.r2": float(found.own[at]), f"block.{name}.leak": float(found.leak[at])}
    return values, {}


def _refuse_one_block(latents: Mapping[str, Places], factors: Mapping[str, Places]) -> None:
    """Raise `Unmeasured` where fewer than two blocks have latents as well as factors, naming those that lack either."""
    if sum(bool(latents[name] and factors[name]) for name in latents) > 1:
        return
    for lacking, where in ((factors, "factors in this world"), (latents, "latents")):
        if empty := [name for name in latents if not lacking[name]]:
            raise Unmeasured(f"too few of its blocks have {where}; none belong to: {', '.join(empty)}")
