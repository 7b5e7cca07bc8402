"""One measured number, and the one way to say it of one or several seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from probes.configs import Frozen, validated
from probes.files import read_json
from probes.metrics.intervals import Interval
from probes.metrics.metric import Better

FEW_SEEDS = 5


class Row(Frozen):
    """One measured number."""

    name: str = Field(description="What was measured, dotted from the general to the particular.")
    value: float | None = Field(description="The number.")
    low: float | None = Field(default=None, description="Lower end of its 95 % interval, where it has one.")
    high: float | None = Field(default=None, description="Upper end of its 95 % interval.")
    n: int | None = Field(default=None, description="Number of items behind it.")
    seeds: int = Field(default=1, description="Number of seeds behind it.")
    unit: str = Field(default="", description="Unit or convention.")
    better: Better = Field(default="", description="Which way is better.")
    baseline: float | None = Field(default=None, description="The same number for a baseline.")
    aim: float | None = Field(default=None, description="What the project aims at.")
    note: str = Field(default="", description="What the number says, or how it came about, in words.")


class Rows(Frozen):
    """What `evaluate --json` prints."""

    suite: str = Field(description="Name of the suite.")
    commit: str | None = Field(description="Commit of the workbench, where it is known.")
    seconds: float = Field(description="How long it took.")
    rows: list[Row] = Field(description="What was measured.")


def read_rows(folder: Path) -> Rows:
    """The rows of an evaluation artefact."""
    return validated(Rows, read_json(folder / "rows.json"), what=f"The evaluation {folder.name}")


def over_seeds(
    name: str,
    values: Mapping[int, float],
    *,
    n: int | None = None,
    unit: str = "",
    better: Better = "",
    aim: float | None = None,
) -> Iterator[Row]:
    """The mean over seeds and, while they are few, the single values; one row where there is one seed."""
    if not values:
        return
    mean = sum(values.values()) / len(values)
    yield Row(name=name, value=mean, n=n, seeds=len(values), unit=unit, better=better, aim=aim)
    if 1 < len(values) < FEW_SEEDS:
        for seed, value in values.items():
            yield Row(name=f"{name}.seed-{seed}", value=value, n=n, unit=unit, better=better, aim=aim)


def interval_row(name: str, found: Sequence[float], *, unit: str = "", better: Better = "") -> Row:
    """A row from (value, low, high, n)."""
    value, low, high, n = found
    return Row(name=name, value=value, low=low, high=high, n=int(n), unit=unit, better=better)


def of_interval(
    name: str,
    found: Interval,
    unit: str,
    better: Better = "",
    *,
    baseline: float | None = None,
    aim: float | None = None,
    note: str = "",
) -> Row:
    """A row from an interval, with its numbers of items and seeds; one number has no interval."""
    value, low, high, n, seeds = found
    return Row(
        name=name,
        value=value,
        low=low if n > 1 else None,
        high=high if n > 1 else None,
        n=n,
        seeds=seeds,
        unit=unit,
        better=better,
        baseline=baseline,
        aim=aim,
        note=note,
    )
