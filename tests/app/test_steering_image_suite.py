"""The suite of levers on the emoji pipeline, small: every arm has its rows, and no scored concept was developed on."""

from __future__ import annotations

import pytest

from app.suites.rows import Row
from app.suites.steered_captions import Captions, inputs_of
from app.suites.steering_image import SUITE
from app.worker import execute
from probes.metrics import intervals
from probes.worlds.emoji import Pair, read_emoji
from tests.fixtures.suites import rows_of, run_of

ARMS = ("hierarchical", "flat", "difference_of_means", "one_level", "along_edges", "single_hierarchical", "single_flat")
TINY = SUITE.presets["tiny"]
CONTROLS = (
    "random_for_hierarchical",
    "random_for_flat",
    "random_for_difference_of_means",
    "wrong_level",
    "wrong_noise",
)


def test_captions_that_are_scored_share_no_concept_with_those_developed_on() -> None:
    corpus = read_emoji()
    captions = Captions.of(corpus, 150)
    assert len(captions.development) == 150 and len(captions.scored) == 75
    assert not set(captions.development) & set(captions.scored)
    assert not {pair.emoji for pair in corpus.held_out} & {*captions.development, *captions.scored}
    assert captions == Captions.of(corpus, 150)
    inputs = inputs_of(corpus, [Pair(captions.scored[0], 1)] * 2, 900, 4, 2.0)
    assert inputs.seeds == (900, 901) and inputs.prompts[0].endswith("twemoji style")


def measured(parts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> dict[str, Row]:
    monkeypatch.setattr(intervals, "RESAMPLES", 20)
    asked = TINY | {"parts": parts}
    return rows_of(execute(run_of(f"steering-{parts[0]}", suite="steering-image", steering_image=asked)))


def check_task(found: dict[str, Row], task: str, kept: str, pictures: int) -> None:
    for arm in (*ARMS, *CONTROLS):
        row = found[f"{task}.{arm}.effect"]
        assert row.n == pictures and row.value is not None and 0 <= row.value <= 1 and row.low is not None
        assert 0 <= (found[f"{task}.{arm}.{kept}"].value or 0) <= 1
        assert (found[f"{task}.{arm}.collateral"].value or 0) > 0
    for arm in ARMS:
        assert found[f"{task}.{arm}.strength"].value in TINY["strengths"]
        assert "development captions" in found[f"{task}.{arm}.strength"].note
    assert found[f"{task}.hierarchical.effect_at_0"].note == "loss 0.00, change of pixels 0.000"
    for level in ("low", "middle", "high"):
        assert f"{task}.heat.{level}.at_2" in found
    gain = found[f"{task}.hierarchical_beyond_flat.effect"]
    hierarchical, flat = (found[f"{task}.{arm}.effect"].value or 0 for arm in ("hierarchical", "flat"))
    assert gain.value == pytest.approx(hierarchical - flat) and gain.note


def test_every_arm_is_tuned_and_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(("vendors", "unlearning"), monkeypatch)
    check_task(found, "vendors", "concept_kept", 6)
    assert not any(name.startswith("groups") for name in found)
    # What a prompt asks for is there: the judge reads these pictures.
    assert (found["vendors.asking.effect"].value or 0) > 0.5
    for kind in ("vendors", "concepts"):
        for measure in ("ua", "ira", "cra"):
            assert 0 <= (found[f"unlearning.{kind}.hierarchical.{measure}"].value or 0) <= 1
        assert (found[f"unlearning.{kind}.unsteered.ua"].value or 0) < 0.5
        assert f"unlearning.{kind}.hierarchical_beyond_flat.ua" in found


@pytest.mark.slow
def test_groups_have_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    check_task(measured(("groups",), monkeypatch), "groups", "style_kept", 4)


def test_it_stops_when_asked() -> None:
    run = run_of("steering-stopped", suite="steering-image", steering_image=TINY)
    run.request_stop()
    assert execute(run) is None
