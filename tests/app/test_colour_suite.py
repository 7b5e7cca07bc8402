"""The colours' suite, small: every row of every arm, and a stop in the middle."""

from __future__ import annotations

import pytest

from app.worker import execute
from tests.fixtures.suites import few_resamples, rows_of, run_of

SMALL = {"pairs": 1, "strengths": (0.0, 2.0), "training_steps": 300, "apart": False}


def test_every_arm_is_measured_at_a_strength_chosen_on_other_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    few_resamples(monkeypatch)
    found = rows_of(execute(run_of("colours-small", suite="colours", colours=SMALL)))
    for arm in ("chosen", "random", "difference_of_means"):
        assert found[f"colours.{arm}.turned"].n == 12
        assert found[f"colours.{arm}.strength"].value in SMALL["strengths"]  # type: ignore[operator]
        assert 0 <= found[f"colours.{arm}.front_area"].value <= 1
    assert found["colours.random.strength"].value == found["colours.chosen.strength"].value
    gain = found["colours.chosen_beyond_random"]
    assert gain.aim == 0.3 and gain.value == pytest.approx(
        found["colours.chosen.turned"].value - found["colours.random.turned"].value
    )
    assert found["colours.chosen.turned_at_0"].value == 0


def test_a_suite_that_was_asked_to_stop_leaves_no_rows() -> None:
    run = run_of("colours-stopped", suite="colours", colours=SMALL)
    run.request_stop()
    assert execute(run) is None
