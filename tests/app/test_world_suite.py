"""The worlds' suite, small: every row, and a stop in the middle."""

from __future__ import annotations

from typing import Any

import pytest

from app.suites.kept import Kept
from app.suites.world_training import NESTED, WorldTrainingConfig, case_of, level_in
from app.worker import execute
from probes.autoencoders.nested import differing, nested_widths
from probes.runs import Run
from tests.fixtures.suites import few_resamples, rows_of, run_of, without_seconds

ARCHITECTURES = ("batch_topk", "hierarchical")
WORLDS = {
    "worlds": ("mixture", "tree"),
    "architectures": ARCHITECTURES,
    "seeds": 2,
    "rows": 1024,
    "steps": 30,
    "rates": (1e-3, 1e-2),
}


def test_worlds_are_measured_over_seeds_and_go_on_where_they_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    few_resamples(monkeypatch)
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


def test_a_view_of_few_concepts_has_a_nested_dictionary_too() -> None:
    """Twelve latents are too few for the default widths; a flat dictionary would not notice."""
    config = WorldTrainingConfig(rows=512, steps=2, batch=64, rates=(1e-3,), fewest=8, latents=1.5)
    case = case_of("storeys", config, 0, low=18, middle=12, high=8)
    kept = Kept(run_of("few", suite="worlds"), "module/worlds", "")
    for architecture in NESTED:
        level = level_in(config, "few", architecture, 2, case, 0, kept, run_of(f"few-{architecture}", suite="worlds"))
        assert level.space.n_latents == 12
    assert differing((1 / 32, 1 / 16, 1 / 8, 1 / 4), 12) == (1 / 16, 1 / 8, 1 / 4)
    assert nested_widths(12, differing((1 / 32, 1 / 16, 1 / 8, 1 / 4), 12)) == (1, 2, 3, 12)
    assert differing((1 / 32, 1 / 8), 4608) == (1 / 32, 1 / 8) and differing((0.5, 1.0), 8) == (0.5,)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_the_worlds_must_show() -> None:
    """Five seeds: independent concepts are found, nesting pays in the strict hierarchy. Of the loose one it is
    said, not asserted, who wins; flat dictionaries rebuild it better in any case."""
    asked = {
        "worlds": ("mixture", "tree", "loose"),
        "architectures": ("topk", "batch_topk", "matryoshka"),
        "steps": 800,
        "rates": (1e-2,),
    }
    rows = rows_of(execute(run_of("worlds-must-show", suite="worlds", worlds=asked)))
    for architecture in ("topk", "batch_topk", "matryoshka"):
        row = rows[f"worlds.mixture.{architecture}.mcc"]
        assert row.seeds == 5 and row.value >= 0.95 and row.low > 0.9
    ratio = rows["worlds.tree.matryoshka_over_batch_topk.absorbed_ratio"]
    assert ratio.value <= 0.6 and ratio.high < 1
    assert rows["worlds.tree.matryoshka_over_batch_topk.mcc_gain"].low > 0
    gain = rows["worlds.loose.matryoshka_over_batch_topk.explained_variance_gain"]
    assert gain.high < 0 and rows["worlds.loose.matryoshka_over_batch_topk.mcc_gain"].low is not None
