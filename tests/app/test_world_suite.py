"""The worlds' suite, small: every row, and a stop in the middle."""

from __future__ import annotations

from typing import Any

import pytest

from app.evaluate import EvaluateConfig, presets
from app.worker import execute
from probes.runs import Run
from tests.fixtures.suites import rows_of, run_of, without_seconds

ARCHITECTURES = ("batch_topk", "hierarchical")
WORLDS = {
    "worlds": ("mixture", "tree"),
    "architectures": ARCHITECTURES,
    "seeds": 2,
    "rows": 1024,
    "steps": 30,
    "rates": (1e-3, 1e-2),
}


def test_presets_are_configs() -> None:
    for preset in presets.values():
        EvaluateConfig.model_validate(preset)


def test_worlds_are_measured_over_seeds_and_go_on_where_they_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rows_of(execute(run_of("worlds-whole", suite="worlds", worlds=WORLDS)))
    for architecture in ARCHITECTURES:
        row = whole[f"worlds.mixture.{architecture}.mcc"]
        assert row.value > 0.3 and row.n == 64 and row.seeds == 2 and row.aim == 0.95
        assert f"worlds.tree.{architecture}.absorbed" in whole
        assert f"worlds.mixture.{architecture}.absorbed" not in whole
    flat, nested = (whole[f"worlds.tree.{name}.absorbed"] for name in ("batch_topk", "hierarchical"))
    assert nested.baseline == pytest.approx(flat.value)
    ratio = whole["worlds.tree.hierarchical_over_batch_topk.absorbed_ratio"]
    assert ratio.value == pytest.approx(nested.value / flat.value) and ratio.aim == 0.6
    stopped = run_of("worlds-stopped", suite="worlds", worlds=WORLDS)
    update = Run.update

    def stop_at_the_third(self: Run, **fields: Any) -> None:
        update(self, **fields)
        if fields.get("message") == "tree: batch_topk":
            self.request_stop()

    monkeypatch.setattr(Run, "update", stop_at_the_third)
    assert execute(stopped) is None
    assert len(list((stopped.path / "dictionaries").iterdir())) == 4
    monkeypatch.setattr(Run, "update", update)
    stopped.clear_stop()
    assert without_seconds(rows_of(execute(stopped))) == without_seconds(whole)
