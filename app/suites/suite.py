"""What a suite is: a config, the rows it measures, values to start from, and files it leaves beside its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from app.suites.rows import Row
from probes.configs import Frozen
from probes.runs import Run


@dataclass(frozen=True)
class Suite:
    """`rows` yields what was measured and raises `Stopped` when its run is asked to stop. `presets`: partial
    configs by name. `leaves`: files of the run's folder that are kept beside the rows, where they are there. `of`: the
    config's field that names what is measured, where it measures one thing of several: a graph, a probe or a store, and
    called like that. `suits` raises `WorkbenchError` where a config names one that is there and cannot be measured; it
    is asked before there is a run, so it must be quick."""

    Config: type[Frozen]
    rows: Callable[[Any, Run], Iterator[Row]]
    presets: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    leaves: tuple[str, ...] = ()
    of: Literal["", "graph", "probe", "store"] = ""
    suits: Callable[[Any], object] = lambda config: None
