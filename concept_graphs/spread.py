"""Do the levels exist? Spread per latent by level, each in units of its own row kind's floor."""

from __future__ import annotations

from typing import Any

import numpy as np

from probes.hierarchy.probe import Level, Probe
from probes.metrics.intervals import bootstrap


def spread_order(probe: Probe) -> tuple[dict[str, Any], list[str]]:
    """(figures, warnings): the mean over latents of spread / floor per level with a 95 % interval over
    latents. A level is supported as higher when its interval lies above the next lower one's.

    Spread over floor counts the rows a latent occupies where it occurs; without the floor, pooling alone
    would make a level look higher.
    """
    figures: dict[str, Any] = {}
    warnings: list[str] = []
    intervals = []
    for level in probe.levels:
        found = bootstrap([spread_ratio(level)])
        intervals.append(found)
        figures[f"spread.{level.name}"] = [found.value, found.low, found.high, found.n]
    for below, above, low, high in zip(probe.levels, probe.levels[1:], intervals, intervals[1:], strict=False):
        supported = high.low > low.high
        figures[f"spread.{below.name}<{above.name}"] = supported
        if not supported:
            warnings.append(
                f"Spread does not support {above.name} as a higher level than {below.name}: a latent fills "
                f"{high.value:.2f} [{high.low:.2f}, {high.high:.2f}] {_unit(above)} at {above.name}, "
                f"{low.value:.2f} [{low.low:.2f}, {low.high:.2f}] at {below.name}."
            )
    return figures, warnings


def _unit(level: Level) -> str:
    return "cells of an image at one step" if level.rows.of == "cell" else "of its rows per chunk"


def spread_ratio(level: Level) -> np.ndarray:
    """Spread over floor of every latent that fired, `latent`: 1 means one row per chunk."""
    spread, floor = level.statistics["spread"].numpy(), level.statistics["spread_floor"].numpy()
    return np.asarray(spread[floor > 0] / floor[floor > 0], dtype=np.float64)
