"""Tasks and constraints of representations: every pair trains the encoder, repeats itself, and is gone at weight 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from probes.constraints.wrong_graph import complement
from probes.representations.compatibility import incompatible
from probes.representations.represented import Represented, as_samples
from probes.training.loop import OptimiserConfig, Progress, train
from probes.training.objective import Component, Objective
from probes.training.randomness import generator
from probes.training.schedules import constant
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
    task_for,
)

SPEC = every_field_spec()
PICTURES = every_field_spec((3, 16, 16))


def trained(task: str, constraint: str | None, weight: float, seed: int = 0, steps: int = 3) -> dict[str, Tensor]:
    """The state after some steps."""
    part = None if constraint is None else a_constraint(constraint)
    model = latent_model(SPEC, a_task(task), part, seed)
    imposed = [] if part is None else [Component(part.key, part, constant(weight))]
    objective = Objective(model, [Component(task, a_task(task), constant(1.0))], imposed)
    config = OptimiserConfig(steps=steps, batch=24)
    nothing = Progress(lambda *_: None, lambda: False, lambda *_: None)
    assert train(objective, lambda step: every_field_batch(SPEC, step=step), config, nothing) == "done"
    return {name: value.clone() for name, value in model.state_dict().items()}


PAIRS = [
    (task, constraint)
    for task, constraint in product(LATENT_TASKS, LATENT_CONSTRAINTS)
    if not incompatible(a_task(task), a_constraint(constraint), SPEC)
]


def test_parts_are_kept_under_the_names_of_their_rows() -> None:
    assert [a_task(name).key for name in LATENT_TASKS] == LATENT_TASKS
    assert [a_constraint(name).key for name in LATENT_CONSTRAINTS] == LATENT_CONSTRAINTS


def test_only_masks_of_captions_are_choosy_where_every_field_is_there() -> None:
    refused = set(product(LATENT_TASKS, LATENT_CONSTRAINTS)) - set(PAIRS)
    assert refused == {(task, "caption_mask") for task in LATENT_TASKS if task != "captions"}


@pytest.mark.parametrize(("task", "constraint"), PAIRS, ids=lambda part: part)
def test_a_pair_is_finite_and_its_gradient_reaches_the_encoder(task: str, constraint: str) -> None:
    part = a_constraint(constraint)
    model = latent_model(SPEC, a_task(task), part)
    batch = every_field_batch(SPEC)
    seen = part.impose(model, model.represent(batch))
    encoders = [p for module in (model.encoder, model.reader) if module is not None for p in module.parameters()]
    for terms in (a_task(task).loss(model, seen, batch), part.penalty(model, seen)):
        assert terms and all(value.ndim == 0 and bool(torch.isfinite(value)) for value in terms.values())
        total = torch.stack(list(terms.values())).sum()
        found = torch.autograd.grad(total, encoders, retain_graph=True, allow_unused=True)
        assert any(gradient is not None and bool(gradient.any()) for gradient in found)
    certified = part.certify(model, seen)
    assert certified and all(isinstance(value, float) and value == value for value in certified.values())


@pytest.mark.parametrize(("task", "constraint"), PAIRS, ids=lambda part: part)
def test_weight_zero_is_the_task_alone_to_the_last_bit(task: str, constraint: str) -> None:
    alone, beside = trained(task, None, 0.0), trained(task, constraint, 0.0)
    assert all(torch.equal(alone[name], beside[name]) for name in alone)


@pytest.mark.parametrize("constraint", LATENT_CONSTRAINTS)
def test_a_seed_repeats_itself_and_a_weight_changes_the_encoder(constraint: str) -> None:
    task = task_for(a_constraint(constraint), SPEC).key
    once, again, other = (trained(task, constraint, 1.0, seed) for seed in (0, 0, 1))
    alone = trained(task, None, 0.0)
    assert all(torch.equal(once[name], again[name]) for name in once)
    for different in (other, alone):
        assert any(not torch.equal(once[name], different[name]) for name in alone if name.startswith("encoder.trunk"))


# -- symmetries --------------------------------------------------------------------------------------------

ORDER = [2, 0, 3, 1]
FACTORS = torch.tensor([0.5, 3.0, 2.0, 0.25])


def turned(seen: Represented, order: list[int], factor: Tensor) -> Represented:
    """Latents in another order, times a factor each."""
    slope = seen.slope
    assert slope is not None
    views = [
        replace(
            view,
            mean=view.mean[..., order] * factor,
            log_variance=view.log_variance[..., order] + 2 * factor.abs().log(),
            z=view.z[..., order] * factor,
            slope=lambda rows, latent: slope(rows, order[latent]) * factor[latent],
        )
        for _, view in seen.each()
    ]
    return replace(views[0], second=views[1])


TURNS: dict[str, tuple[list[int], Tensor]] = {
    "permutation": (ORDER, torch.ones(LATENTS)),
    "sign": (list(range(LATENTS)), torch.tensor([1.0, -1.0, -1.0, 1.0])),
    "scale": (list(range(LATENTS)), FACTORS),
}


@pytest.mark.parametrize("name", LATENT_CONSTRAINTS)
@pytest.mark.parametrize("turn", list(TURNS))
def test_a_constraint_is_blind_to_the_symmetries_it_claims_and_to_no_other(name: str, turn: Any) -> None:
    constraint = a_constraint(name)
    if not constraint.symmetries:
        pytest.skip("claims none: its own networks tell latents apart from the start")
    task = a_task("infonce")  # has no decoder, which would have to be turned along
    model = latent_model(SPEC, task, constraint).double()
    batch = {
        key: value.double() if value.is_floating_point() else value for key, value in every_field_batch(SPEC).items()
    }
    seen = as_samples(model.represent(batch))
    before, after = (constraint.penalty(model, found) for found in (seen, turned(seen, *TURNS[turn])))
    same = [float(after[key].detach()) == pytest.approx(float(before[key].detach()), rel=1e-3) for key in before]
    assert all(same) == (turn in constraint.symmetries)


# -- what stands against a pair ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "constraint", "without", "remedy"),
    [
        ("infonce", None, "second", "set its pairs"),
        ("next_step", None, "past", "lag above 0"),
        ("captions", None, "caption", "set its captions"),
        ("supervised", None, "answers", "label some"),
        ("reconstruction", "conditional_prior", "domain", "domains above 1"),
        ("reconstruction", "minimal_change", "changed", "pairs to changed"),
        ("reconstruction", "structural_prior", "target", "interventions above 0"),
        ("reconstruction", "temporal_prior", "past", "lag above 0"),
    ],
)
def test_a_missing_field_is_named_with_what_to_set(
    task: str, constraint: str | None, without: str, remedy: str
) -> None:
    spec = replace(SPEC, fields=SPEC.fields - {without})
    part = None if constraint is None else a_constraint(constraint)
    assert incompatible(a_task(task), part, SPEC) == ""
    reason = incompatible(a_task(task), part, spec)
    assert f"no {without}" in reason and remedy in reason


@pytest.mark.parametrize(
    ("task", "constraint", "change", "said"),
    [
        ("reconstruction", "caption_mask", {}, "reads no captions"),
        ("supervised", None, {"latents": 2}, "raise latents"),
        ("reconstruction", "structural_prior", {"latents": 5}, "set latents to 4"),
        ("reconstruction", "wrong_graph", {"edges": np.zeros((4, 4), dtype=np.bool_)}, "dependence to chain"),
        ("reconstruction", "markov_blanket", {"latents": 3}, "raise latents"),
        ("reconstruction", "selection_minimality", {"latents": 1}, "raise latents"),
        ("reconstruction", "invariant_split", {"latents": 1}, "raise latents"),
    ],
)
def test_what_cannot_work_is_refused_with_a_reason(
    task: str, constraint: str | None, change: dict[str, Any], said: str
) -> None:
    part = None if constraint is None else a_constraint(constraint)
    assert said in incompatible(a_task(task), part, replace(SPEC, **change))


@pytest.mark.parametrize("name", [name for name in LATENT_CONSTRAINTS if "domain" in a_constraint(name).given])
@pytest.mark.parametrize("trained", [0, 1])
def test_what_compares_domains_wants_several_among_the_rows_to_train_on(name: str, trained: int) -> None:
    """Whatever numbers its domains go up to."""
    reason = incompatible(a_task("reconstruction"), a_constraint(name), replace(SPEC, trained_domains=trained))
    assert f"has {trained} domain" in reason and "field domain" in reason and "domains above 1" in reason


# -- pictures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LATENT_TASKS)
def test_tasks_work_on_pictures_of_bytes(name: str) -> None:
    task = a_task(name)
    model = latent_model(PICTURES, task)
    batch = every_field_batch(PICTURES, rows=6)
    terms = task.loss(model, model.represent(batch), batch)
    torch.stack(list(terms.values())).sum().backward()
    first = next(model.encoder.trunk.parameters())
    assert first.grad is not None and bool(first.grad.any())
    assert model.represent(batch).mean.shape == (6, LATENTS)


def test_the_target_of_latent_prediction_follows_and_is_never_trained() -> None:
    before, after = (trained("latent_prediction", None, 0.0, steps=steps) for steps in (1, 3))
    name = "heads.latent_prediction.target.mean.weight"
    assert not torch.equal(before[name], after[name])
    model = latent_model(SPEC, a_task("latent_prediction"))
    assert not any(p.requires_grad for p in model.head("latent_prediction").target.parameters())


def test_slopes_of_encoder_and_decoder_are_finite_differences() -> None:
    batch = doubled(every_field_batch(SPEC))
    for name, measure in (("reconstruction", _of_the_decoder), ("infonce", _of_the_encoder)):
        model = latent_model(SPEC, a_task(name)).double()
        seen = model.represent(batch)
        assert torch.allclose(model.slopes(seen, 5, 64)[1], measure(model, batch, seen), atol=1e-5)


def _of_the_decoder(model: Any, batch: dict[str, Tensor], seen: Represented) -> Tensor:
    step = torch.zeros_like(seen.z[:5])
    step[:, 1] = 1e-6 * seen.z[:, 1].std().detach()
    return (model.decoder(seen.z[:5] + step) - model.decoder(seen.z[:5])) / 1e-6


def _of_the_encoder(model: Any, batch: dict[str, Tensor], seen: Represented) -> Tensor:
    x, columns = batch["x"][:5], []
    for at, spread in enumerate(batch["x"].std(dim=0)):
        step = torch.zeros_like(x)
        step[:, at] = 1e-6 * spread
        columns.append((model.encode(x + step)[0] - model.encode(x)[0])[:, 1] / 1e-6)
    return torch.stack(columns, dim=1) / seen.mean[:, 1].std()


# -- helpers are pure ----------------------------------------------------------------------------------------


def test_a_sample_is_drawn_once_and_differs_by_view() -> None:
    seen = latent_model(SPEC, a_task("infonce")).represent(every_field_batch(SPEC))
    once = as_samples(seen)
    assert as_samples(once) is once and once.second is not None and seen.second is not None
    noise: Callable[[Represented], Tensor] = lambda view: (view.z - view.mean) / (view.log_variance / 2).exp()  # noqa: E731
    assert not torch.allclose(noise(once), noise(once.second))
    assert torch.equal(as_samples(seen).z, once.z)


def test_a_change_is_no_smaller_for_latents_that_few_rows_drive_far_out() -> None:
    """A quarter of the rows change; whatever is made of the latent, that quarter is the share of its differences."""
    draw = generator(0, "rows")
    z, other = (torch.randn(20_000, 1, generator=draw) for _ in range(2))
    again = torch.where(torch.rand(z.shape, generator=draw) < 0.25, other, z)
    for power in (1, 5):
        first, second = (
            Represented(value**power, torch.zeros_like(value), value**power, {}, (0, 0)) for value in (z, again)
        )
        model: Any = None
        found = a_constraint("minimal_change").penalty(model, replace(first, second=second))
        assert float(found["change"]) == pytest.approx(0.25, rel=0.1)


def test_latents_that_all_say_the_same_are_no_minimal_change() -> None:
    """Of four factors one changes in each pair. All latents on one factor change as seldom as one on each does; and
    what they share makes them the dearer by far."""
    draw = generator(0, "rows")
    z, other = (torch.randn(4000, 4, generator=draw) for _ in range(2))
    which = torch.randint(4, (4000, 1), generator=draw)
    again = torch.where(torch.arange(4) == which, other, z)
    model: Any = None

    def penalty(mix: Tensor) -> dict[str, float]:
        first, second = (Represented(v @ mix, torch.zeros_like(v), v @ mix, {}, (0, 0)) for v in (z, again))
        return {
            k: float(v) for k, v in a_constraint("minimal_change").penalty(model, replace(first, second=second)).items()
        }

    each, same = penalty(torch.eye(4)), penalty(torch.eye(4)[[0]].T @ torch.ones(1, 4) + 0.05 * torch.eye(4))
    assert same["change"] == pytest.approx(each["change"], rel=0.3)
    assert each["shared"] < 0.01 and same["shared"] > 1.0


def test_a_wrong_graph_has_exactly_the_edges_that_the_known_one_lacks_and_no_cycle() -> None:
    chain = torch.eye(4, dtype=torch.bool).roll(1, dims=1)
    chain[3, 0] = False
    # Causes need not come first: the same chain with its factors in another order.
    order = torch.tensor([2, 0, 3, 1])
    for edges in (chain, chain[order][:, order]):
        wrong = complement(edges)
        assert torch.equal(wrong | wrong.T, ~(edges | edges.T | torch.eye(4, dtype=torch.bool)))
        assert not bool(torch.linalg.matrix_power((wrong | edges).double(), 4).any())
    assert not complement(~torch.eye(4, dtype=torch.bool)).any()
