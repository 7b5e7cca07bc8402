"""Evaluation suites: one function per suite, one object of rows, the same for page, report and command."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from concept_graphs.graph import ConceptGraph
from probes.artefacts import artefact_path, resolve, write_manifest
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.files import commit_directory, read_json, write_json
from probes.provenance import commit
from probes.runs import Run


class Row(Frozen):
    """One measured number."""

    name: str = Field(description="What was measured, dotted from the general to the particular.")
    value: float | None = Field(description="The number.")
    low: float | None = Field(default=None, description="Lower end of its 95 % interval, where it has one.")
    high: float | None = Field(default=None, description="Upper end of its 95 % interval.")
    n: int | None = Field(default=None, description="Number of items behind it.")
    seeds: int = Field(default=1, description="Number of seeds behind it.")
    unit: str = Field(default="", description="Unit or convention.")
    better: Literal["up", "down", ""] = Field(default="", description="Which way is better.")
    baseline: float | None = Field(default=None, description="The same number for a baseline.")
    aim: float | None = Field(default=None, description="What the project aims at.")


class Rows(Frozen):
    """What `evaluate --json` prints."""

    suite: str
    commit: str | None
    seconds: float
    rows: list[Row]


class EvaluateConfig(Frozen):
    """Measure a suite and write its rows."""

    suite: Literal["main-job"] = Field(default="main-job", description="Which suite.")
    graph: str = Field(default="bundled/text", description="Concept graph that is evaluated.")
    name: str = Field(default="main-job", description="Name of the evaluation to write.", max_length=64)


def main_job(config: EvaluateConfig) -> Iterator[Row]:
    """Dictionaries, edges and labels of a text graph, as measured on held-out text when they were made."""
    graph = ConceptGraph.open(config.graph)
    yield from _dictionary_rows(graph)
    yield from _graph_rows(graph)


# Name of a held-out figure: unit or convention, which way is better, and the aim per level.
DICTIONARY_FIGURES: dict[str, tuple[str, Literal["up", "down", ""], dict[str, float]]] = {
    "explained_variance": ("centred", "up", {"low": 0.83, "middle": 0.82, "high": 0.65}),
    "explained_variance_per_dimension": ("mean over dimensions", "up", {}),
    "l0": ("active latents per row, by threshold", "", {"low": 32, "middle": 32, "high": 16}),
    "dead": ("share that never fired", "down", dict.fromkeys(("low", "middle", "high"), 0.05)),
    "rare": ("share with frequency below 1e-4", "down", dict.fromkeys(("low", "middle", "high"), 0.10)),
    "cross_entropy_increase": ("nats per token", "down", {"middle": 0.12}),
    "recovered_mean_ablation": ("share of the mean-ablation loss", "up", {"middle": 0.97}),
    "recovered_zero_ablation": ("share of the zero-ablation loss", "up", {}),
}


def _dictionary_rows(graph: ConceptGraph) -> Iterator[Row]:
    measured = _probe_figures(graph) | graph.meta.figures
    for level in graph.meta.levels:
        for name, (unit, better, aims) in DICTIONARY_FIGURES.items():
            value = measured.get(f"{level.name}.{name}")
            if isinstance(value, int | float):
                rows = measured.get(
                    f"{level.name}.rows" if "ecovered" not in name else f"{level.name}.chunks"
                )
                n = int(rows) if isinstance(rows, int | float) else None
                yield Row(
                    name=f"dictionary.{level.name}.{name}",
                    value=float(value),
                    n=n,
                    unit=unit,
                    better=better,
                    aim=aims.get(level.name),
                )


def _probe_figures(graph: ConceptGraph) -> dict[str, Any]:
    """Held-out figures of the probe, where it is at hand."""
    try:
        record = read_json(resolve(graph.meta.probe, "probe") / "probe.json")
    except WorkbenchError:
        return {}
    levels = record.get("levels", [])
    return {f"{level['name']}.{name}": value for level in levels for name, value in level["figures"].items()}


def _graph_rows(graph: ConceptGraph) -> Iterator[Row]:
    aims = {"low-middle.confirmed": 100.0, "middle-high.confirmed": 20.0}
    for name, value in graph.meta.figures.items():
        if isinstance(value, list):
            spread = [float(part) for part in value if isinstance(part, int | float)]
            if len(spread) == 4:
                yield Row(name=name, value=spread[0], low=spread[1], high=spread[2], n=int(spread[3]))
        elif "-" in name and isinstance(value, int | float):
            tested = graph.meta.figures.get(f"{name.partition('.')[0]}.tested")
            n = int(tested) if isinstance(tested, int | float) else None
            yield Row(name=f"edges.{name}", value=float(value), n=n, unit="edges", aim=aims.get(name))


SUITES: dict[str, Callable[[EvaluateConfig], Iterator[Row]]] = {"main-job": main_job}


def evaluate(config: EvaluateConfig) -> Rows:
    """Run a suite."""
    start = time.monotonic()
    rows = list(SUITES[config.suite](config))
    return Rows(suite=config.suite, commit=commit(), seconds=time.monotonic() - start, rows=rows)


def work(config: EvaluateConfig, run: Run) -> Path:
    """Run a suite and leave its rows as an artefact, replacing an earlier one; returns the rows' file."""
    run.begin(message=f"measuring {config.suite}")
    found = evaluate(config)
    target = artefact_path("evaluation", config.name)
    with commit_directory(target, replace=True) as folder:
        write_json(folder / "rows.json", found.model_dump(mode="json"))
        write_manifest(folder, kind="evaluation", name=config.name, command=run.record().command)
    return target / "rows.json"


def read_rows(path: Path) -> Rows:
    """The rows of an evaluation artefact."""
    return validated(Rows, read_json(path / "rows.json"), what=f"The evaluation {path.name}")
