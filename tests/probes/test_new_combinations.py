"""Combinations of factors that training never saw: cells are scored on them, by what was found on other rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from probes.metrics.information import information
from probes.representations.cell import NONE
from probes.representations.grid import GridConfig
from probes.representations.scoring import on_new
from probes.representations.setting import Setting

NETWORK = {"width": 16, "rows": 400, "scale_after": 5, "optimiser": {"steps": 12, "batch": 64}}
SCORING = {"rows": 300, "kernel_rows": 0, "tree_rows": 0}
WORLDS: dict[str, dict[str, Any]] = {
    "vectors": {"kind": "vectors", "factors": 3, "d": 5, "domains": 4, "noise": 0.0},
    "ball room": {"kind": "ball_room", "size": 16},
    "scenes": {"kind": "ball_room", "size": 16, "selection": True},
}


def a_config(world: str, combinations: str, **more: Any) -> GridConfig:
    dials = {"world": {**WORLDS[world], "combinations": combinations}, "network": NETWORK, "scoring": SCORING}
    return GridConfig.model_validate({"tasks": ["reconstruction"], "constraints": [NONE], **dials, **more})


@pytest.mark.parametrize("world", WORLDS)
def test_new_rows_are_all_of_combinations_that_training_and_ordinary_scoring_never_see(world: str) -> None:
    """And seen through the same eyes: the factors that make them make the same rows in the world trained on."""
    setting = Setting(a_config(world, "training"), 3)
    assert setting.new is not None
    held_out = setting.world.process.held_out  # type: ignore[attr-defined]
    for rows, share in ((setting.rows, 0.0), (setting.held_out, 0.0), (setting.new, 1.0)):
        assert held_out(rows.factors.astype(np.float64)).mean() == share
    assert len(setting.new) == len(setting.held_out) == 300 and set(setting.new.fields) == set(setting.held_out.fields)
    drawn, seen = setting.world.render(setting.new.factors), setting.new.fields["x"].numpy()
    assert np.abs(drawn.astype(float) - seen).mean() <= (1e-4 if world == "vectors" else 3)  # bytes have noise


@pytest.mark.parametrize("combinations", ["all", "held_out"])
def test_where_training_sees_every_combination_nothing_is_new(combinations: str) -> None:
    assert Setting(a_config("vectors", combinations), 0).new is None


def test_new_rows_are_scored_by_the_match_and_the_line_of_the_others() -> None:
    """Codes that are the factors hold everywhere; by a known distance off on new rows, R² falls as it must and
    correlation does not; with columns exchanged there both are lost, for nothing is matched or fitted anew."""
    random = np.random.default_rng(0)
    factors, new = random.normal(size=(1000, 3)), 0.5 * random.normal(size=(500, 3)) + 2

    same = on_new(factors[:, [2, 0, 1]], factors, new[:, [2, 0, 1]], new)
    assert same["mcc_new"] == pytest.approx([1, 1, 1]) and same["r2_new"] == pytest.approx([1, 1, 1], abs=1e-4)
    shift = np.array([0.0, 0.3, 1.0])
    off = on_new(factors, factors, new + shift, new)
    assert off["mcc_new"] == pytest.approx([1, 1, 1])
    assert off["r2_new"] == pytest.approx(1 - shift**2 / new.var(axis=0), abs=1e-3)
    turned = on_new(factors, factors, new[:, [1, 2, 0]], new)
    assert max(turned["mcc_new"]) < 0.2 and max(turned["r2_new"]) < 0
    few = on_new(factors[:, :2], factors, new[:, :2], new)
    assert few["mcc_new"] == pytest.approx([1, 1, 0]) and few["r2_new"][2] < 0.01


def test_on_rows_like_the_others_both_numbers_are_the_ordinary_ones() -> None:
    random = np.random.default_rng(1)
    codes = random.normal(size=(40_000, 4))
    factors = codes[:, :3] + random.normal(size=(40_000, 3))
    found = on_new(codes[:20_000], factors[:20_000], codes[20_000:], factors[20_000:])
    assert found["mcc_new"] == pytest.approx([0.5**0.5] * 3, abs=0.02)
    assert found["r2_new"] == pytest.approx([0.5] * 3, abs=0.02)
    assert found["r2_new"] == pytest.approx(information(codes, factors).tolist(), abs=0.02)
