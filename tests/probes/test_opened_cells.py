"""Moving one latent of an opened cell changes what that latent stands for, by its own deviations, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from probes.errors import WorkbenchError
from probes.representations.cell import Cell
from probes.representations.grid import GridConfig
from probes.representations.opening import OpenedCell, extremes, traversed
from probes.representations.plan import measured_cost, plan_of, rows_drawn
from probes.representations.recipe import recipe_of
from probes.representations.setting import Setting
from probes.representations.training import Pair
from probes.tensors import save_tensors

CONFIG = GridConfig.model_validate(
    {
        "tasks": ["reconstruction", "infonce"],
        "constraints": ["none", "kl"],
        "world": {"kind": "vectors", "pairs": "changed"},
        "seeds": 2,
        "curve_seeds": 1,
        "restarts": 1,
        "network": {"width": 8, "rows": 100, "scale_after": 2, "optimiser": {"steps": 4, "batch": 32}},
        "scoring": {"rows": 90, "kernel_rows": 0, "tree_rows": 0},
    }
)


def cell_of(task: str, folder: Path) -> OpenedCell:
    """A cell with its first weights, kept as the grid keeps one."""
    setting = Setting(CONFIG, 1)
    model = Pair(CONFIG.task(task), None).model(setting.spec, 0)
    save_tensors(folder / "cell.safetensors", {name: value.contiguous() for name, value in model.state_dict().items()})
    return OpenedCell(recipe_of(CONFIG, Cell(task=task, seed=1)), folder / "cell.safetensors")


def test_a_latent_moves_by_its_own_deviations_around_a_row(tmp_path: Path) -> None:
    opened = cell_of("reconstruction", tmp_path)
    steps = np.array([-3.0, 0.0, 2.0])
    found = traversed(opened, 2, 7, steps)
    assert found.shape == (3, 12)
    code = opened.codes[7].copy()
    decode = opened.model.decoder
    assert decode is not None
    for at, step in enumerate(steps):
        moved = code.copy()
        moved[2] += step * opened.codes[:, 2].std()
        with torch.no_grad():
            np.testing.assert_allclose(found[at], decode(torch.from_numpy(moved).float()), rtol=1e-5, atol=1e-6)
    for latent, row in ((4, 0), (-1, 0), (0, 90)):
        with pytest.raises(ValueError, match="there is no latent"):
            traversed(opened, latent, row, steps)


def test_latents_are_named_after_their_factors_and_their_ends_are_held_out_rows(tmp_path: Path) -> None:
    opened = cell_of("infonce", tmp_path)
    assert sorted(name.split(": ")[1] for name in opened.names) == ["z1", "z2", "z3", "z4"]
    held_out = Setting(CONFIG, 1).held_out
    np.testing.assert_array_equal(opened.seen([0, 5]), held_out.fields["x"][[0, 5]].numpy())
    low, high = extremes(opened, 1, most=3)
    values = opened.codes[:, 1]
    assert values[low[0]] == values.min() and values[high[0]] == values.max() and len(low) == len(high) == 3
    truth = np.corrcoef(opened.factors[:, 3], values)[0, 1]
    assert opened.correlation()[3, 1] == pytest.approx(abs(truth))
    with pytest.raises(ValueError, match="no decoder"):
        traversed(opened, 0, 0, np.zeros(1))
    with pytest.raises(WorkbenchError, match="its weights are not in the folder"):
        OpenedCell(recipe_of(CONFIG, Cell(task="infonce")), tmp_path / "gone.safetensors")
    with pytest.raises(WorkbenchError, match=r"tensor 'decoder.* is missing in its weights"):
        OpenedCell(recipe_of(CONFIG, Cell(task="reconstruction")), tmp_path / "cell.safetensors")


def test_a_plan_counts_cells_and_its_cost_grows_with_them() -> None:
    plan = plan_of(CONFIG)
    assert len(plan.pairs) == 4 and plan.refused == [] and plan.cells == 2 * (1 + 3) + 4
    cost = measured_cost(CONFIG, plan)
    assert cost.measured == 4 and cost.seconds > 0
    assert measured_cost(CONFIG, plan, patience=0.0).measured == 1
    double = measured_cost(CONFIG, plan._replace(cells=100 * plan.cells)).seconds
    assert double > 10 * cost.seconds


def test_a_plan_counts_the_rows_that_are_really_drawn() -> None:
    """Both passes draw those of every world, and one more set where training never sees some combinations."""
    for combinations in ("all", "training"):
        world = CONFIG.world.model_copy(update={"combinations": combinations})
        config = CONFIG.model_copy(update={"world": world})
        settings = [Setting(config, seed) for seed in range(config.seeds)]
        drawn = [part for one in settings for part in (one.rows, one.held_out, one.new) if part is not None]
        assert rows_drawn(config) == 2 * sum(len(rows) for rows in drawn)
