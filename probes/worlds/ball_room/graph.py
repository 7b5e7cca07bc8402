"""What is where in the room, and what causes what: the graph, stated once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from probes.worlds.dials import ProcessConfig
from probes.worlds.process import Floats, Mechanism, Model, modulations
from probes.worlds.world import Flags, generators


class Factor(NamedTuple):
    """`spread` of its noise, the weight of each cause, and of the product of all its causes."""

    spread: float
    causes: Mapping[str, float] = {}
    together: float = 0.0


# Causes first. Every factor is in (-1, 1): 0 is the middle, right and up are positive.
GRAPH: Mapping[str, Factor] = {
    "light": Factor(0.9),
    "box x": Factor(0.8),
    "ball size": Factor(0.9),
    "ball hue": Factor(0.6, {"light": 1.3}),
    "ball x": Factor(0.6, {"box x": 1.2}),
    "ball height": Factor(0.6, {"ball size": 1.2}),
    "shadow offset": Factor(0.4, {"light": -1.2, "ball height": 0.8}),
    "stripe frequency": Factor(0.7, {"ball hue": 0.0, "ball x": 0.0}, together=1.5),
}
NAMES = tuple(GRAPH)
SCALED, MOVED = "light", "box x"  # whose scale, and whose mean, differ between domains
HELD_OUT: tuple[Mapping[str, int], ...] = (  # what training may not see together: 1 for high, -1 for low
    {"ball hue": 1, "ball x": 1},
    {"ball size": -1, "box x": 1},
)


def edges() -> Flags:
    """`cause effect`."""
    return np.array([[cause in effect.causes for effect in GRAPH.values()] for cause in NAMES])


def model_of(config: ProcessConfig, seed: int) -> Model:
    """The graph with domains and interventions of this seed."""
    n, random = len(NAMES), generators(seed, "domains")
    table = modulations(random, config.domains, 2)
    means, scales = np.zeros((len(table), n)), np.ones((len(table), n))
    means[:, NAMES.index(MOVED)] = config.domain_means * table[:, 0]
    scales[:, NAMES.index(SCALED)] = np.exp(config.domain_scales * table[:, 1])
    return Model(
        names=NAMES,
        edges=edges(),
        mechanisms={at: _mechanism(factor) for at, factor in enumerate(GRAPH.values()) if factor.causes},
        spread=np.array([factor.spread for factor in GRAPH.values()]),
        means=means,
        scales=scales,
        pushes=generators(seed, "pushes").choice([-0.8, 0.8], n),
        corners=tuple({NAMES.index(name): side for name, side in corner.items()} for corner in HELD_OUT),
        bounded=True,
    )


def _mechanism(factor: Factor) -> Mechanism:
    causes = [NAMES.index(name) for name in factor.causes]
    return partial(_caused, causes, np.array([*factor.causes.values()]), factor.together)


def _caused(causes: list[int], weights: Floats, together: float, factors: Floats) -> Floats:
    """`row`, of factors `row factor`."""
    found = factors[:, causes] @ weights
    return found + together * factors[:, causes].prod(axis=1) if together else found
