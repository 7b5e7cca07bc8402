"""Numbers on combinations of factors that training never saw: in a cell, the suite's table and rows, and the page."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from app import jobs
from app.grid_cells import FACTOR_COLUMNS, factor_table
from app.grids import kept_cells
from app.suites.grid import MEASURES, TABLE
from app.worker import execute
from probes.representations.cell import NONE
from tests.fixtures.suites import few_resamples, rows_of

SMALL: dict[str, Any] = {
    "tasks": ["reconstruction"],
    "constraints": [NONE],
    "seeds": 2,
    "curve_seeds": 1,
    "restarts": 1,
    "network": {"width": 16, "rows": 400, "scale_after": 5, "optimiser": {"steps": 12, "batch": 64}},
    "scoring": {"rows": 300, "kernel_rows": 0, "tree_rows": 0},
}


@pytest.mark.parametrize("combinations", ["training", "all"])
def test_where_combinations_are_held_out_both_numbers_stand_wherever_a_cell_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, combinations: str
) -> None:
    """And nowhere else: a world that holds none out keeps the numbers it had, and no others."""
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    few_resamples(monkeypatch)
    world = {"kind": "vectors", "factors": 3, "d": 5, "domains": 4, "combinations": combinations}
    config = jobs.config_for("evaluate", {"suite": "grid", "name": "new", "grid": {**SMALL, "world": world}}, "tiny")
    run = jobs.new_run("evaluate", config)
    rows = rows_of(execute(run))
    wanted = {"mcc_new", "r2_new"} if combinations == "training" else set()

    cells = kept_cells(run)
    assert len(cells) == 2
    for cell in cells:
        for numbers in (cell.values, cell.by_factor):
            assert {name for name in numbers if name.endswith("_new")} == wanted
        assert all(cell.values[name] == pytest.approx(np.mean(cell.by_factor[name])) for name in wanted)
    with (run.path / TABLE).open() as file:
        table = list(csv.DictReader(file))
    assert {name for name in table[0] if name.endswith("_new")} == wanted
    assert {name.split(".")[2] for name in rows if "_new" in name} == wanted
    for name in wanted:
        row = rows[f"reconstruction.{NONE}.{name}"]
        assert row.value == pytest.approx(np.mean([cell.values[name] for cell in cells]))
        assert row.unit == MEASURES[name][0] and "never saw" in row.unit and row.better == "up" and row.seeds == 2

    opened = SimpleNamespace(names=["0: z1", "1: z3"], matched=np.array([0, -1, 1]))
    opened.world = SimpleNamespace(names=("z1", "z2", "z3"))
    shown = factor_table(cells[0], cast(Any, opened))
    first = ["z1", "z2", "z3"]
    assert [row[0] for row in shown] == first + [f"{name}, new combinations" for name in first if wanted]
    assert [row[1] for row in shown[:3]] == [row[1] for row in shown[-3:]] == ["0: z1", "none", "1: z3"]
    assert all(len(row) == len(FACTOR_COLUMNS) for row in shown)
