"""What single constraints must not be fooled by: other units, latents out of sight, truth that nobody was told of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from probes.parts.gates import mean_gates, open_probability
from probes.representations.represented import as_samples
from probes.representations.training import Pair
from probes.training.loop import OptimiserConfig
from probes.training.randomness import generator
from tests.fixtures.factors import (
    LATENT_CONSTRAINTS,
    LATENT_TASKS,
    LATENTS,
    a_constraint,
    a_task,
    doubled,
    every_field_batch,
    every_field_spec,
    latent_model,
)

SPEC = every_field_spec()


def test_influences_in_time_are_those_of_the_same_latents_in_other_units() -> None:
    """Latents `factor` times as large, and mechanisms that read them in the new unit: nothing else is different."""
    constraint = a_constraint("temporal_sparsity")
    model = latent_model(SPEC, a_task("reconstruction"), constraint).double()
    seen = as_samples(model.represent(doubled(every_field_batch(SPEC))))
    transitions = model.prior("temporal_sparsity")
    state = {name: value.clone() for name, value in transitions.state_dict().items()}

    def in_units(factor: float) -> dict[str, float]:
        views = [
            replace(view, mean=view.mean * factor, z=view.z * factor, log_variance=view.log_variance + shift)
            for shift in [2 * float(np.log(factor))]
            for view in (seen, seen.past)
            if view is not None
        ]
        transitions.load_state_dict(state)
        with torch.no_grad():
            transitions.now.div_(factor)
            transitions.then.div_(factor)
            transitions.direct.sub_(float(np.log(factor)))
            terms = constraint.penalty(model, replace(views[0], past=views[1]))
            certified = constraint.certify(model, replace(views[0], past=views[1]))
        return {name: float(value) for name, value in (terms | certified).items()}

    wanted = in_units(1.0)
    assert min(wanted["past"], wanted["present"]) > 1e-4
    for factor in (1e-3, 10.0, 1e3):
        assert in_units(factor) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("task", LATENT_TASKS)
def test_no_task_hears_what_minimal_selection_does_not_see(task: str) -> None:
    """Far below zero latents of a changed encoder are other numbers, and say the same: nothing."""
    constraint, part = a_constraint("selection_minimality"), a_task(task)
    model = latent_model(SPEC, part, constraint)
    batch, lost = every_field_batch(SPEC), []
    encoders = [model.encoder, *([model.head(task).target] if task == "latent_prediction" else [])]
    for size in (0.01, 0.1):
        with torch.no_grad():
            for encoder in encoders:
                torch.nn.init.normal_(encoder.mean.weight, std=size, generator=generator(0, "weights"))
                encoder.mean.bias.fill_(-50.0)
        seen = constraint.impose(model, model.represent(batch))
        assert not seen.z.any() and not model.codes(batch["x"]).any()
        lost.append({name: float(term) for name, term in part.loss(model, seen, batch).items()})
    assert lost[0] == lost[1]
    alone = Pair(part, constraint).model(SPEC, 0, 0.0)
    assert torch.equal(alone.codes(batch["x"]), alone.encode(batch["x"])[0]), "without a weight nothing is imposed"


def test_latents_shifted_below_zero_are_no_better_selected_and_no_sparser() -> None:
    """Of lower latents as they come and a higher one that is exactly what they select."""
    constraint = a_constraint("selection_minimality")
    model = latent_model(SPEC, a_task("reconstruction"), constraint)
    seen, selecting = model.represent(every_field_batch(SPEC)), model.prior("selection_minimality")
    low = torch.randn(400, LATENTS - 1, generator=generator(0, "low"))
    total = (low.relu() / low.relu().square().mean(dim=0).sqrt()).sum(dim=1, keepdim=True)
    with torch.no_grad():
        selecting.slow.fill_(10.0)
        selecting.raw.fill_(float(torch.expm1(1 / total.std()).log()))

    def shifted(by: float, latents: slice) -> tuple[dict[str, float], float]:
        z = torch.cat([low, total], dim=1)
        z[:, latents] += by * z[:, latents].std(dim=0)
        moved = constraint.impose(model, replace(seen, mean=z, z=z))
        terms = constraint.penalty(model, moved)
        return constraint.certify(model, moved), float(terms["selection"] + terms["activity"])

    certified, cost = shifted(0.0, slice(0))
    assert certified["selected"] == pytest.approx(1.0, abs=1e-4) and certified["dead"] == certified["dead_higher"] == 0
    for by in (-50.0, -10.0):
        for latents, dead in ((slice(None), 1.0), (slice(LATENTS - 1, None), 1 / LATENTS)):
            gone, price = shifted(by, latents)
            assert gone["selected"] <= 0 and (gone["dead"], gone["dead_higher"]) == (dead, 1.0) and price > cost + 0.5
    assert shifted(50.0, slice(1))[1] > cost, "nor is a row sparse in which one latent is large and never changes"
    for by in (-1.0, -0.3):
        assert shifted(by, slice(LATENTS - 1, None))[0]["selected"] < certified["selected"] - 0.01


def test_a_gate_can_close_within_a_training() -> None:
    """From fully open at the start, 1,500 steps at the usual rate close a gate that only costs."""
    own = a_constraint("selection_minimality").own(SPEC)
    optimiser = torch.optim.Adam(own.parameters(), lr=OptimiserConfig().learning_rate)
    for _ in range(500):
        optimiser.zero_grad()
        open_probability(own.log_alpha).sum().backward()
        optimiser.step()
    assert not mean_gates(own.log_alpha).any()


def test_whoever_is_told_of_the_truth_says_so_and_nobody_else() -> None:
    truth = {"answers", "target"}
    for name in LATENT_TASKS:
        assert bool(a_task(name).told) == bool(a_task(name).reads & truth), name
    for name in LATENT_CONSTRAINTS:
        assert bool(a_constraint(name).told) == bool(a_constraint(name).given & truth), name
    pair = Pair(a_task("supervised"), a_constraint("markov_blanket"))
    assert pair.told == {"supervised": "answers", "markov_blanket": "an answer"}
    assert Pair(a_task("reconstruction"), a_constraint("kl")).told == {}
