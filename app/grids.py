"""What the Grid page shows of a run: plain values from what its suite wrote; no gradio, no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from app.suite_runs import GRID
from app.suites.rows import Row
from concept_graphs.text import number
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.files import read_json
from probes.runs import Run

FOUND, ALONE = "grid.json", "none"  # the suite's and the cells' names for them, which come with torch
MEASURES = {"mcc": "MCC", "r2": "R²"}
LIVE_COLUMNS = {"task": "30%", "constraint": "30%", "cells": "10%", "MCC ↑": "15%", "R² ↑": "15%"}
CARD_COLUMNS = {"assumption": "36%", "how far this world meets it": "64%"}

Pair = tuple[str, str]  # task and constraint


class Closed(Frozen):
    """A pair that could not be had."""

    task: str = Field(description="The task.")
    constraint: str = Field(description="The constraint.")
    reason: str = Field(description="Why, with what to set.")


class GridFile(Frozen):
    """The file grid.json."""

    tasks: list[str] = Field(description="Tasks, the rows.", min_length=1)
    constraints: list[str] = Field(description="Constraints, the columns; none first.", min_length=1)
    world: str = Field(description="Kind of the world.")
    card: dict[str, str] = Field(description="Assumption to how far the world meets it.")
    factors: list[str] = Field(description="Names of the factors.")
    refused: list[Closed] = Field(description="Pairs that cannot be had.")
    left_out: dict[str, dict[str, str]] = Field(
        default={}, description="By task.constraint: why a number that was wanted is not there."
    )
    told: dict[str, str] = Field(
        default={}, description="What of the truth tasks and constraints are told in training, by name."
    )
    rows: list[Row] = Field(description="What was measured.")


class Opened(NamedTuple):
    """A finished run, its rows by name."""

    slug: str
    file: GridFile
    rows: dict[str, Row]

    def row(self, *parts: str) -> Row | None:
        """A row by the parts of its name, such as task, constraint and measure."""
        return self.rows.get(".".join(parts))

    def value(self, *parts: str) -> float | None:
        row = self.row(*parts)
        return None if row is None else row.value

    @property
    def pairs(self) -> list[Pair]:
        """Pairs with a constraint that were had."""
        every = ((task, constraint) for task in self.file.tasks for constraint in self.file.constraints)
        return [pair for pair in every if pair[1] != ALONE and self.row(*pair, "mcc_gained") is not None]

    @property
    def reasons(self) -> dict[Pair, str]:
        """Why a pair could not be had."""
        return {(one.task, one.constraint): one.reason for one in self.file.refused}


class KeptCell(NamedTuple):
    """A cell that a run has kept: which one, and its numbers."""

    slug: str
    task: str
    constraint: str
    weight: float
    seed: int
    restart: int
    seconds: float
    values: dict[str, float]
    by_factor: dict[str, list[float]]
    left_out: Mapping[str, str] = MappingProxyType({})
    told: dict[str, str] = {}

    @property
    def pair(self) -> Pair:
        return self.task, self.constraint

    @property
    def called(self) -> str:
        """The cell among those of its pair, in words."""
        weight = "" if self.constraint == ALONE else f", weight {self.weight:g}"
        return f"world {self.seed}, start {self.restart}{weight}"


def form_of() -> tuple[type[BaseModel], dict[str, dict[str, Any]]]:
    """The config that the form is made from, and the suite's presets. Imports torch."""
    from app.suites.registry import SUITES

    suite = SUITES.load(GRID.suite)
    return suite.Config, {name: dict(values) for name, values in suite.presets.items()}


def opened(slug: str) -> Opened:
    """What a finished run left. Raises `WorkbenchError` where it is gone or another run's."""
    file = validated(GridFile, read_json(GRID.folder(slug) / FOUND), what=f"What run {slug} found")
    return Opened(slug, file, {row.name: row for row in file.rows})


def kept_cells(run: Run) -> list[KeptCell]:
    """All cells that a run has kept so far, by name; what cannot be read is left out."""
    found = []
    for path in sorted((run.path / "cells").glob("*.json")):
        try:
            found.append(_kept(path, path.stat().st_mtime_ns))
        except (WorkbenchError, OSError, KeyError, TypeError, ValueError):  # half gone, or not ours
            continue
    return found


@lru_cache(maxsize=4096)
def _kept(path: Path, changed: int) -> KeptCell:
    """One kept cell; a page looks every second, and a cell is never written twice."""
    read = read_json(path)
    cell, score = read["cell"], read["score"]
    return KeptCell(
        slug=path.stem,
        task=str(cell["task"]),
        constraint=str(cell["constraint"]),
        weight=float(cell["weight"]),
        seed=int(cell["seed"]),
        restart=int(cell["restart"]),
        seconds=float(read["seconds"]),
        values={str(name): float(value) for name, value in score["values"].items()},
        by_factor={str(name): [float(one) for one in many] for name, many in score["by_factor"].items()},
        left_out={str(name): str(why) for name, why in score.get("left_out", {}).items()},
        told={str(name): str(what) for name, what in read.get("told", {}).items()},
    )


def live_table(cells: Sequence[KeptCell]) -> list[list[str]]:
    """Per pair how many cells are done, and the mean of MCC and R² over them, whatever their weight."""
    by_pair: dict[Pair, list[KeptCell]] = {}
    for cell in cells:
        by_pair.setdefault(cell.pair, []).append(cell)
    ordered = sorted(by_pair.items(), key=lambda item: (item[0][0], item[0][1] != ALONE, item[0][1]))
    named = [[marked(name, some[0].told) for name in pair] for pair, some in ordered]
    numbers = [[str(len(some)), *(number(_mean(some, measure)) for measure in MEASURES)] for _, some in ordered]
    return [first + rest for first, rest in zip(named, numbers, strict=True)]


def _mean(cells: Sequence[KeptCell], measure: str) -> float | None:
    values = [cell.values[measure] for cell in cells if measure in cell.values]
    return sum(values) / len(values) if values else None


def alone_on(cells: Sequence[KeptCell], task: str, worlds: int) -> dict[str, float]:
    """Both numbers of the task alone on the first worlds, of each world the start whose held-out objective is best."""
    best: dict[int, KeptCell] = {}
    for cell in cells:
        if cell.pair == (task, ALONE) and cell.seed < worlds:
            kept = best.get(cell.seed)
            if kept is None or cell.values["objective"] < kept.values["objective"]:
                best[cell.seed] = cell
    found = {measure: _mean(list(best.values()), measure) for measure in MEASURES}
    return {measure: value for measure, value in found.items() if value is not None}


def alone_of(found: Opened, task: str) -> dict[str, float]:
    """Both numbers of the task alone on the worlds on which weights were tried."""
    worlds = max((row.seeds for name, row in found.rows.items() if f"{task}." in name and ".at." in name), default=0)
    return alone_on(kept_cells(GRID.found(found.slug)), task, worlds)


def card_table(found: Opened) -> list[list[str]]:
    """The world's card, a row per assumption."""
    return [[assumption, said] for assumption, said in found.file.card.items()]


def in_words(name: str) -> str:
    """A task or constraint as people read it."""
    return name.replace("_", " ")


def marked(name: str, told: Mapping[str, str]) -> str:
    """The same, and what of the truth it is told in training where it is told any."""
    return f"{in_words(name)} (told {told[name]})" if name in told else in_words(name)


def earlier_cells(config: BaseModel) -> Iterator[KeptCell]:
    """Cells that earlier runs kept of the same world, networks and scoring: how long they took tells of the next."""
    asked = config.model_dump(mode="json")
    for run in GRID.every():
        try:
            made = run.record().config.get(GRID.section) or {}
        except (WorkbenchError, OSError):
            continue
        if all(made.get(part) == asked[part] for part in ("world", "network", "scoring")):
            yield from kept_cells(run)
