"""The loop: schedules, the running average, narrow products; and that each of them resumes bit for bit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from probes.registry import Registry
from probes.training.averages import Average
from probes.training.registry import RATES
from probes.training.schedules import ramp, warm_up_hold_cosine
from probes.training.trainee import Trainee, only_within_rounding
from tests.fixtures.mixtures import mixtures, small, started
from tests.fixtures.registries import check_row, rows_of
from tests.fixtures.toy_training import an_objective, batch_at, config_of, trained

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "averaged": {"average": 0.98},
    "narrow": {"precision": "bfloat16"},
    "all": {"average": 0.98, "precision": "bfloat16", "schedule": "cosine"},
}


# -- schedules ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "name"), rows_of(RATES))
def test_a_schedule_warms_up_to_one_and_never_leaves_the_unit_interval(table: Registry, name: str) -> None:
    check_row(table, name)
    rate = RATES.load(name)(200, 0.1, 0.3)
    values = [rate(step) for step in range(200)]
    assert values[:3] == pytest.approx([0.05, 0.1, 0.15]) and values[19] == 1.0
    assert all(value == 1.0 for value in values[19:140])
    assert all(0 < value <= 1 for value in values)
    assert all(after <= before for before, after in pairwise(values[19:]))
    assert values[-1] == pytest.approx({"linear": 1 / 60, "cosine": 0.1, "constant": 1.0}[name])


def test_a_cosine_over_everything_is_half_way_down_in_the_middle() -> None:
    rate = warm_up_hold_cosine(1001, 0.0, 1.0)
    assert rate(500) == pytest.approx(0.55, abs=2e-3)


def test_a_weight_warms_up_from_nothing_or_is_there_at_once() -> None:
    weight = ramp(2.0, 0, 10)
    assert [weight(step) for step in (0, 5, 10, 99)] == [0.0, 1.0, 2.0, 2.0]
    assert [ramp(2.0, 0, 0)(step) for step in (0, 1)] == [2.0, 2.0]
    assert [ramp(2.0, 5, 0)(step) for step in (4, 5, 6)] == [0.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("options", "term"),
    [
        ({"kind": "relu", "warm_up": 0.0}, "sparsity"),
        ({"kind": "gated", "warm_up": 0.0}, "sparsity"),
        ({"kind": "crosscoder", "warm_up": 0.0}, "sparsity"),
        ({"kind": "jumprelu", "warm_up": 0.0}, "sparsity"),
        ({"kind": "hierarchical", "start": 0.0}, "edges"),
    ],
)
def test_without_a_warm_up_a_penalty_is_there_from_the_first_step(options: dict[str, Any], term: str) -> None:
    setting = small(options)
    world = mixtures()
    objective = started(setting, world)
    assert float(objective.terms(world(0), 0)[term].detach()) > 0


def test_the_chosen_schedule_is_what_the_optimiser_gets() -> None:
    moved = {}
    for name in ("linear", "constant"):
        objective, _, _ = trained(config_of(schedule=name, decay=1.0))
        moved[name] = objective.module().state_dict()["w_enc"]
    assert not torch.equal(moved["linear"], moved["constant"])


# -- the running average ----------------------------------------------------------------------------------


def test_the_average_follows_its_formula() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    average = Average(module, 0.3)
    expected = float(module.weight.detach())
    for step in range(6):
        with torch.no_grad():
            module.weight.fill_(float(step))
        average.update(module, step)
        kept = min(0.3, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * step
    assert float(average.values["weight"]) == pytest.approx(expected, rel=1e-6)


def test_with_an_average_that_is_what_the_training_leaves() -> None:
    config = config_of(average=0.9)
    plain, _, raw_log = trained(config_of())
    objective, saved, log = trained(config)
    assert log == raw_log  # the average looks on; it does not take part
    left = objective.module().state_dict()
    assert not torch.equal(left["w_enc"], plain.module().state_dict()["w_enc"])
    assert torch.equal(left["w_enc"], saved[-1][1]["average"]["w_enc"])
    torch.testing.assert_close(left["w_dec"].norm(dim=1), torch.ones(192))
    assert torch.equal(saved[-1][1]["model"]["w_enc"], plain.module().state_dict()["w_enc"])


# -- narrow products ----------------------------------------------------------------------------------------


def test_only_products_are_narrow() -> None:
    trainee = Trainee(an_objective(), config_of(precision="bfloat16"))
    for step in range(3):
        trainee.step(batch_at(step), step)
    tensors, _ = trainee.state()
    kinds = {t.dtype for group in tensors.values() for t in group.values()}
    assert kinds == {torch.float32, torch.int64}
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in trainee.module.parameters())


def test_narrow_products_lead_almost_where_wide_ones_do() -> None:
    _, _, wide = trained(config_of())
    _, _, narrow = trained(config_of(precision="bfloat16"))
    assert narrow[-1][1]["reconstruction"] != wide[-1][1]["reconstruction"]
    assert narrow[-1][1]["reconstruction"] == pytest.approx(wide[-1][1]["reconstruction"], rel=0.05)


# -- resuming ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [13, 31], ids=["in the warm-up", "in the decay"])
@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_cut_training_ends_bit_for_bit_as_a_whole_one(name: str, cut: int) -> None:
    """Parameters, moments, counters, the average and every logged value; into a model of another seed."""
    config = config_of(**SETTINGS[name])
    whole, all_saved, log = trained(config)
    part, saved, before = trained(config, cut=cut)
    assert saved[-1][0] == cut and bool(part.representation.dead().any())
    resumed, saved_after, after = trained(config, resume=saved[-1], seed=99)
    for key, tensor in whole.module().state_dict().items():
        assert torch.equal(tensor, resumed.module().state_dict()[key]), key
    assert before + after == log
    for group, tensors in all_saved[-1][1].items():
        for key, tensor in tensors.items():
            assert torch.equal(tensor, saved_after[-1][1][group][key]), (group, key)
    assert ("average" in all_saved[-1][1]) == ("average" in SETTINGS[name])


def test_going_on_with_other_threads_or_processes_is_said_not_hidden() -> None:
    state = trained(config_of(), cut=13)[1][-1][2]
    assert only_within_rounding(state) == ""
    said = only_within_rounding({**state, "threads": 64, "processes": 2})
    assert "64 threads" in said and "2 processes" in said and "within rounding" in said


@pytest.mark.parametrize("left_out", ["moments", "average", "counters"])
def test_the_comparison_above_sees_each_piece_of_the_state(left_out: str) -> None:
    config = config_of(**SETTINGS["all"])
    whole, _, _ = trained(config)
    step, tensors, state = trained(config, cut=13)[1][-1]
    if left_out == "moments":
        tensors["optimiser"] = {k: torch.zeros_like(v) for k, v in tensors["optimiser"].items()}
    elif left_out == "average":
        tensors["average"] = {k: tensors["model"][k] for k in tensors["average"]}
    else:
        tensors["model"]["since_fired"] = torch.zeros_like(tensors["model"]["since_fired"])
    resumed, _, _ = trained(config, resume=(step, tensors, state), seed=99)
    same = [torch.equal(t, resumed.module().state_dict()[k]) for k, t in whole.module().state_dict().items()]
    assert not all(same)
