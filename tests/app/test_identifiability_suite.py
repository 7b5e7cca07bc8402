"""The suite of known graphs, small: every part and every proposal has its rows, and training sees no truth."""

from __future__ import annotations

from typing import Any

import pytest

from app.suites import world_training
from app.worker import execute
from concept_graphs.edges.registry import PROPOSALS
from concept_graphs.methods import BOOTSTRAP
from probes.training.loop import train
from tests.fixtures.suites import few_resamples, rows_of, run_of

GATES = {"steps": 160, "batch": 512, "learning_rate": 0.05, "clip_norm": 10.0, "checkpoint_every": 10**6}
SMALL = {
    "parts": ("oracle", "learned", "null", "calibration"),
    "seeds": 1,
    "other_worlds": 1,
    "rows": 1500,
    "map_rows": 1500,
    "steps": 150,
    "rates": (1e-2,),
    "maps": {"minimum_rows": 20, "most_frequent": 1.0, "optimiser": GATES},
    "fits": 1,
    "draws": 2,
    "chunks": 16,
    "dictionary_seeds": 2,
}


def test_known_graphs_are_found_and_training_sees_no_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    few_resamples(monkeypatch)
    seen: set[str] = set()

    def watched(objective: Any, batch_at: Any, *more: Any) -> Any:
        seen.update(batch_at(0))
        return train(objective, batch_at, *more)

    monkeypatch.setattr(world_training, "train", watched)
    run = run_of("identifiability", suite="identifiability", identifiability=SMALL)
    rows = rows_of(execute(run))
    assert seen == {"x"}, "a batch of a dictionary holds what the world shows and nothing else"
    methods = [name for name in PROPOSALS if not getattr(PROPOSALS.load(name), "needs_subject", False)]
    for pair in ("low-middle", "middle-high"):
        for part in ("oracle", "learned"):
            for method in (*methods, BOOTSTRAP):
                assert {f"{part}.storeys.{pair}.{method}.{end}" for end in ("ap", "f1", "null")} <= set(rows)
                assert f"{part}.storeys.{pair}.{method}_tested.f1" in rows
            assert rows[f"{part}.storeys.{pair}.{BOOTSTRAP}.null"].value == 0
            assert rows[f"{part}.storeys.{pair}.intervention.ap"].value > rows[f"{part}.storeys.{pair}.chance"].value
            assert rows[f"{part}.storeys.{pair}.coverage"].aim == 0.9
            assert rows[f"{part}.storeys.{pair}.coverage_shown"].n <= rows[f"{part}.storeys.{pair}.coverage"].n
        assert rows[f"oracle.storeys.{pair}.{BOOTSTRAP}.ap"].value > 0.9
        assert rows[f"oracle.storeys.{pair}.frequency-1"].value > 0.8
        assert f"learned.storeys.{pair}.true_variable.ap" in rows
        assert f"learned.storeys.{pair}.seed_frequency-0" in rows
    assert rows["oracle.storeys.graph.intervention.shd"].value < 12
    assert rows["learned.storeys.mcc"].value > 0.5 and rows["learned.storeys.mcc"].n == 38
    dictionaries = list((run.path / "dictionaries").iterdir())
    assert len(dictionaries) == 3 * (1 + 1 + 1), "of the world, of the other one, and of another training seed"


def test_a_stopped_run_leaves_no_rows() -> None:
    stopped = run_of("identifiability-stopped", suite="identifiability", identifiability=SMALL)
    stopped.request_stop()
    assert execute(stopped) is None


def test_several_architectures_go_the_whole_way_on_a_world_of_either_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    few_resamples(monkeypatch)
    asked = {
        **SMALL,
        "parts": ("pipeline",),
        "worlds": ("generated",),
        "pipeline_size": "24/10/4",
        "architectures": ("topk",),
        "pipeline_seeds": 1,
        "pipeline_others": 1,
    }
    rows = rows_of(execute(run_of("identifiability-whole", suite="identifiability", identifiability=asked)))
    for figure in ("mcc", "level_accuracy", "absorbed", "absorption_gap", "graph.gates_bootstrap_tested.shd"):
        assert f"pipeline.generated.topk.{figure}" in rows
    assert rows["pipeline.generated.topk.low-middle.gates_bootstrap_tested.f1"].aim == 0.85


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_known_graphs_must_show() -> None:
    """Five seeds, thresholds of methods/causal-minimality 6.4; each with the cut chosen on other worlds."""
    asked = {"parts": ("oracle", "learned", "null"), "fits": 4, "steps": 1000, "rates": (1e-2,)}
    rows = rows_of(execute(run_of("identifiability-must-show", suite="identifiability", identifiability=asked)))
    for pair in ("low-middle", "middle-high"):
        assert rows[f"oracle.storeys.{pair}.{BOOTSTRAP}.f1"].value >= 0.85
        assert rows[f"oracle.storeys.{pair}.{BOOTSTRAP}.ap"].value >= 0.95
        assert rows[f"learned.storeys.{pair}.intervention.ap"].value >= 0.75
        for part in ("oracle", "learned"):
            assert rows[f"{part}.storeys.{pair}.{BOOTSTRAP}.null"].value <= 0.02
    assert rows["learned.storeys.low-middle.intervention_over_frequency"].value > 0
