"""The grid: weights and starts chosen without the truth, cells kept, resumed and opened again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from probes.errors import Stopped, WorkbenchError
from probes.representations import grid as module
from probes.representations.cell import NONE, Cell
from probes.representations.grid import Grid, GridConfig, Outcome, chosen_weight
from probes.representations.scoring import Score, latents_of
from probes.representations.training import Pair, equalising_scale, trained, warmed_up
from probes.runs import Run

FEW: dict[str, Any] = {
    "tasks": ("reconstruction", "supervised"),
    "constraints": ("conditional_prior", "caption_mask"),
    "weights": (0.3, 1.0),
    "seeds": 2,
    "curve_seeds": 1,
    "restarts": 2,
    "world": {"kind": "vectors", "pairs": "changed", "labelled": ("all",), "factors": 3, "d": 5, "domains": 4},
    "network": {"width": 16, "rows": 400, "scale_after": 5, "optimiser": {"steps": 12, "batch": 64}},
    "scoring": {"rows": 300, "kernel_rows": 0, "tree_rows": 0},
}


def a_grid(folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Grid:
    monkeypatch.setenv("FULCRUM_HOME", str(folder))
    config = GridConfig.model_validate({**FEW, **more})
    return Grid(config, Run.create("grid", "grid", config, command=""))


def outcome(task: float, start: float = 1.0, **values: float) -> Outcome:
    score = Score(values={"task": task, **values}, by_factor={})
    return Outcome(cell=Cell(task="reconstruction"), scale=1.0, start=start, seconds=0.0, score=score)


def test_of_weights_that_cost_the_task_little_the_one_that_repeats_itself_is_chosen() -> None:
    alone = [outcome(0.2), outcome(0.4, start=2.0)]
    tried = {
        0.1: [outcome(0.2), outcome(0.4)],
        0.3: [outcome(0.23), outcome(0.46)],  # .03 of .8 and .06 of 1.6 learnt
        1.0: [outcome(0.3), outcome(0.5)],
    }
    unknown = dict.fromkeys(tried)
    assert chosen_weight(alone, tried, unknown, 0.05) == 0.3, "with one start the heaviest"
    assert chosen_weight(alone, tried, {0.1: 0.9, 0.3: 0.8, 1.0: 1.0}, 0.05) == 0.1
    assert chosen_weight(alone, tried, {0.1: 0.9, 0.3: 0.8, 1.0: 1.0}, 0.5) == 1.0
    assert chosen_weight(alone, {1.0: tried[1.0], 0.3: tried[0.3]}, unknown, 0.01) == 0.3, "where all cost more"


def test_cells_are_counted_trained_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = a_grid(tmp_path, monkeypatch)
    assert [(refusal.task, refusal.constraint) for refusal in grid.refused] == [
        ("reconstruction", "caption_mask"),
        ("supervised", "caption_mask"),
    ]
    assert all("reads no captions" in refusal.reason for refusal in grid.refused)
    curve = list(grid.curve())
    assert len(curve) == 2 * (1 + 2) * 2 and {cell.seed for cell in curve} == {0}
    for cell in curve:
        grid.outcome(cell)
    chosen = list(grid.chosen())
    assert len({cell.slug for cell in (*curve, *chosen)}) == grid.count()
    for cell in chosen:
        grid.outcome(cell)
    assert len(list(grid.every_kept())) == grid.count()
    monkeypatch.setattr(module, "trained", None)  # nothing is trained twice
    again = Grid(grid.config, grid.run)
    assert [again.outcome(cell) for cell in chosen] == [grid.kept(cell) for cell in chosen]


def test_a_kept_cell_opens_as_the_model_that_was_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = a_grid(tmp_path, monkeypatch)
    cell = Cell(task="reconstruction", constraint="conditional_prior", weight=0.3, seed=1, restart=1)
    grid.outcome(cell)
    model, setting = Grid(grid.config, grid.run).opened(cell)
    assert np.allclose(latents_of(model, setting.held_out)[:300], grid.latents(cell), atol=1e-6)


def test_a_cell_is_a_function_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Cell(task="reconstruction", constraint="conditional_prior", weight=0.3, seed=1)
    once, again = (a_grid(tmp_path / name, monkeypatch).outcome(cell) for name in "ab")
    assert once.score == again.score and once.scale == again.scale
    other = a_grid(tmp_path / "c", monkeypatch).outcome(cell.model_copy(update={"restart": 1}))
    assert other.score != once.score


def test_a_stop_leaves_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = a_grid(tmp_path, monkeypatch)
    first, second = list(grid.curve())[:2]
    grid.outcome(first)
    grid.run.request_stop()
    with pytest.raises(Stopped):
        grid.outcome(second)
    assert grid.done(first) and not grid.done(second)


def test_a_weight_of_one_pulls_as_hard_as_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = a_grid(tmp_path, monkeypatch)
    cell = Cell(task="reconstruction", constraint="conditional_prior", weight=1.0)
    pair, (setting, network) = grid.pair(cell), (grid._of(0), grid.config.network)
    warm = warmed_up(pair, setting.spec, setting.rows, network, 0)
    model = pair.model(setting.spec, 0)
    model.load_state_dict(warm, strict=False)
    batch = setting.rows.batches(64, 0)(network.scale_after)
    seen = pair.constraint.impose(model, model.represent(batch))  # type: ignore[union-attr]
    lengths = []
    for terms in (pair.task.loss(model, seen, batch), pair.constraint.penalty(model, seen)):  # type: ignore[union-attr]
        found = torch.autograd.grad(sum(terms.values()), list(model.encoder.parameters()), retain_graph=True)
        lengths.append(float(torch.cat([part.flatten() for part in found]).norm()))
    scale = equalising_scale(pair, setting.spec, setting.rows, network, warm, 0)
    assert scale * lengths[1] / lengths[0] == pytest.approx(1.0, rel=0.5)
    assert equalising_scale(Pair(pair.task, None), setting.spec, setting.rows, network, warm, 0) == 1.0


def test_all_starts_of_a_pair_are_weighed_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the start that the constraint was weighed least for would have the lowest sum, whatever it learnt."""
    grid = a_grid(tmp_path, monkeypatch)
    setting, network = grid._of(0), grid.config.network
    cells = [Cell(task="reconstruction", constraint="kl", weight=1.0, restart=restart) for restart in range(2)]
    pair = grid.pair(cells[0])
    own = [
        equalising_scale(
            pair, setting.spec, setting.rows, network, warmed_up(pair, setting.spec, setting.rows, network, at), at
        )
        for at in range(2)
    ]
    assert own[0] != pytest.approx(own[1], rel=1e-3)
    assert [grid.outcome(cell).scale for cell in cells] == pytest.approx([(own[0] * own[1]) ** 0.5] * 2)


def test_the_best_start_is_that_of_the_lowest_objective_and_starts_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = a_grid(tmp_path, monkeypatch)
    starts = [grid.outcome(Cell(task="supervised", restart=restart)) for restart in range(2)]
    best = grid.best("supervised", NONE, 0.0, 0)
    assert best.score.values["objective"] == min(start.score.values["objective"] for start in starts)
    alike = grid.consistency("supervised", NONE, 0.0, 0)
    assert alike is not None and 0 < alike <= 1


def test_supervision_finds_the_factors_and_reconstruction_their_information() -> None:
    """On a world that is mixed linearly a few hundred steps suffice to tell the two apart."""
    config = GridConfig.model_validate(
        {
            "world": {"kind": "vectors", "labelled": ("all",), "layers": 1, "slope": 1.0},
            "network": {"rows": 4000, "optimiser": {"steps": 400}},
            "scoring": {"rows": 2000, "kernel_rows": 0, "tree_rows": 0},
        }
    )
    setting = module.Setting(config, 0)
    found = {}
    for task in ("supervised", "reconstruction"):
        pair = Pair(config.task(task), None)
        model = trained(pair, setting.spec, setting.rows, Cell(task=task), config.network, 1.0)
        assert model is not None
        found[task] = module.score(model, pair, 0.0, setting.held_out, config.scoring, setting.world).values
    assert found["supervised"]["mcc"] > 0.95 and found["reconstruction"]["r2"] > 0.9
    assert found["reconstruction"]["mcc"] < 0.9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"reconstructions": {}}, "no task or constraint"),
        ({"supervised": {"share": 2}}, "share"),
    ],
)
def test_options_of_parts_are_checked_when_they_are_given(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValidationError, WorkbenchError), match=said):
        GridConfig.model_validate({"options": options})
    given = GridConfig.model_validate({"options": {"supervised": {"share": 0.5}}})
    assert given.task("supervised").config.share == 0.5  # type: ignore[attr-defined]


def test_what_is_not_said_of_the_training_keeps_its_default() -> None:
    said = GridConfig.model_validate({"network": {"optimiser": {"steps": 7}}}).network.optimiser
    assert said == GridConfig().network.optimiser.model_copy(update={"steps": 7}) and said.batch == 128
