"""What a metric is: how it is computed, on what, in which unit, which values it can have, which way is better."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Better = Literal["up", "down", ""]
Reads = Literal["moments", "losses", "letters", "removed", "bits", "agreement", "recovery"]


@dataclass(frozen=True)
class Metric:
    """`measure` turns what a pass over held-out data left (`reads` says of which kind) into one number
    between `low` and `high`. `unit` names the unit or the convention."""

    measure: Callable[[Any], float]
    reads: Reads
    unit: str
    better: Better = ""
    low: float = -math.inf
    high: float = math.inf


def measured(found: Any, reads: Reads) -> dict[str, float]:
    """Every registered metric that reads this kind, by name."""
    from probes.metrics.registry import METRICS

    rows: dict[str, Metric] = {name: METRICS.load(name) for name in METRICS}
    return {name: metric.measure(found) for name, metric in rows.items() if metric.reads == reads}
