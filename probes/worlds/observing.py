"""From drawn factors to the fields of a batch: what every world of factors does alike, whatever its rows look like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probes.worlds.dials import ProcessConfig
from probes.worlds.factors import FactorSample
from probes.worlds.process import Floats, Process
from probes.worlds.world import generators

# What rows with factors `row factor` are seen as, `row …`, with noise of the generator's.
See = Callable[[Floats, np.random.Generator], NDArray[Any]]


def fields_of(config: ProcessConfig) -> frozenset[str]:
    """Names of the fields that rows drawn with these dials hold."""
    asked = {
        "second": config.pairs != "none",
        "past": config.lag > 0,
        "answers": bool(config.labelled),
        "domain": config.domains > 0,
        "changed": config.pairs == "changed",
        "target": config.interventions > 0,
    }
    return frozenset({"x"} | {name for name, holds in asked.items() if holds})


def observe(process: Process, rows: int, seed: int, see: See, again: See) -> FactorSample:
    """Rows as `see` makes them; `again` makes the second view where it is an augmentation."""
    config, random = process.config, generators(seed, f"views of world {process.seed}")
    drawn = process.draw(rows, seed)
    lag, n = config.lag, drawn.factors.shape[-1]
    now = drawn.factors[:, lag]
    fields: dict[str, NDArray[Any]] = {"x": see(now, random)}
    if config.pairs != "none":
        fields["second"] = (again if config.pairs == "augmented" else see)(drawn.factors[:, -1], random)
    if lag:
        past = see(drawn.factors[:, :lag].reshape(-1, n), random)
        fields["past"] = past.reshape(rows, lag, *past.shape[1:])
    if config.labelled:
        fields["answers"] = answers(process, now)
    told = {"domain": drawn.conditions.domain, "changed": drawn.conditions.changed, "target": drawn.conditions.target}
    fields |= {name: value for name, value in told.items() if name in fields_of(config)}
    return FactorSample(fields, now.astype(np.float32))


def answers(process: Process, factors: Floats) -> NDArray[np.float32]:
    """The labelled factors `row answer`, by the mean and deviation that they have in the world's reference rows."""
    asked = process.config.answers(process.model.names)
    known = process.reference[:, asked]
    return ((factors[:, asked] - known.mean(axis=0)) / known.std(axis=0)).astype(np.float32)
