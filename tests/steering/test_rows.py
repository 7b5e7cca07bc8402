"""A lever on a latent of a representation moves that latent by its deviations, beside directions of the same length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from probes.errors import WorkbenchError
from probes.representations.opening import traversed
from steering.levers import Lever, OperationParams, lever_of
from steering.row_comparison import ROW_OPERATIONS
from steering.rows import CONTROLS, compare_row
from tests.fixtures.kept_cells import PICTURES, kept_cell


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FULCRUM_HOME", str(tmp_path))
    return tmp_path


def test_add_is_a_traversal_by_so_many_deviations(home: Path) -> None:
    opened = kept_cell(home).opened
    found = compare_row("mine", [lever_of("latents/2", strength=1.5)], 7)
    plain, moved = traversed(opened, 2, 7, np.array([0.0, 1.5]))
    np.testing.assert_allclose(found.unsteered.x, plain, atol=1e-5)
    np.testing.assert_allclose(found.steered.x, moved, atol=1e-5)
    np.testing.assert_allclose(found.seen.x, opened.seen([7])[0], atol=1e-6)
    assert found.steered.rmse == pytest.approx(np.sqrt(np.mean((moved - plain) ** 2)), rel=1e-3)
    assert found.levers[0].moved == {2: pytest.approx(1.5)}
    assert len(found.chance) == CONTROLS and found.control is not None and found.control.rmse == found.chance[0]
    assert found.exceeded == sum(value >= found.steered.rmse for value in found.chance)
    assert compare_row("mine", [lever_of("latents/2", strength=1.5)], 7) == found


@pytest.mark.parametrize("operation", ROW_OPERATIONS)
def test_strength_zero_changes_nothing_at_all_and_order_never_matters(home: Path, operation: str) -> None:
    kept_cell(home)
    params = OperationParams(level=0.5, target=3 if operation == "swap" else None)
    lever = Lever(level="latents", weights={1: 1.0}, operation=operation, strength=0.0, params=params)
    none = compare_row("mine", [lever], 3)
    assert none.steered.x == none.unsteered.x and none.steered.rmse == 0.0
    assert none.chance == [] and none.notices == ["Lever 1 moved nothing."]
    both = [lever.with_strength(2.0), lever_of("latents/0", strength=-1.0)]
    one, other = compare_row("mine", both, 3), compare_row("mine", both[::-1], 3)
    np.testing.assert_allclose(one.steered.x, other.steered.x, atol=1e-6)
    assert one.steered.x != none.steered.x


def test_set_reaches_its_value_in_deviations(home: Path) -> None:
    opened = kept_cell(home).opened
    lever = Lever(level="latents", weights={1: 1.0}, operation="set", params=OperationParams(level=2.0))
    found = compare_row("mine", [lever], 3, controls=False)
    z = torch.from_numpy(opened.codes[3]).float()
    z[1] = 2 * opened.spread[1]
    assert opened.model.decoder is not None and found.control is None
    np.testing.assert_allclose(found.steered.x, opened.model.decoder(z[None])[0].detach(), atol=1e-5)


def test_pictures_stay_between_black_and_white(home: Path) -> None:
    kept_cell(home, config=PICTURES)
    found = compare_row("mine", [lever_of("latents/0", strength=8.0)], 0)
    assert found.picture and len(found.steered.x) == int(np.prod(found.shape))
    assert min(found.steered.x) >= 0 and max(found.steered.x) <= 1


def test_what_means_nothing_is_refused_in_one_sentence(home: Path) -> None:
    kept_cell(home)
    kept_cell(home, "infonce", "contrast")
    plain = lever_of("latents/0")
    for lever, row, why in (
        (plain, 90, "has rows 0 to 89"),
        (lever_of("latents/4"), 0, "it has no latent 4"),
        (lever_of("low/0"), 0, "it has no level 'low'"),
        (lever_of("latents/0", operation="project"), 0, "operation project is none"),
        (lever_of("latents/0", operation="swap"), 0, "needs a target"),
        (lever_of("latents/0", where="positions=prompt"), 0, "a row has no places"),
    ):
        with pytest.raises(WorkbenchError, match=why):
            compare_row("mine", [lever], row)
    with pytest.raises(WorkbenchError, match="contrast cannot be written to: its task trains no decoder"):
        compare_row("contrast", [plain], 0)
