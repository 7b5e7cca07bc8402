"""Every loss has the gradient of its value, in float64; what is held fixed gets exactly none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from probes.autoencoders import losses
from probes.autoencoders.block_map import BlockMap
from probes.autoencoders.nested import decode_nested
from probes.autoencoders.selection import encode_batch_topk
from probes.autoencoders.straight_through import jump, step
from probes.tasks.registry import TASKS
from probes.training.randomness import generator
from tests.fixtures.golden import X, golden


def draw(*shape: int, number: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(number, "gradient"), dtype=torch.float64)


INDEX = torch.tensor([[0, 2, 4], [1, 2, 5], [3, 4, 5], [0, 1, 2]])
LOSSES: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "squared_error": (losses.squared_error, (draw(4, 3), draw(4, 3, number=1))),
    "normalised_error": (lambda d: losses.normalised_error(draw(4, 3), d), (draw(4, 3, number=1),)),
    "nested_error": (
        lambda a, b: losses.nested_error(draw(4, 3), (a, b)),
        (draw(4, 3, number=1), draw(4, 3, number=2)),
    ),
    "revival_error": (
        lambda pre, rows: losses.revival_error(draw(4, 3), pre, rows, 2),
        (draw(4, 5, number=1), draw(5, 3, number=2)),
    ),
    "weighted_l1": (losses.weighted_l1, (draw(4, 6), draw(6, number=1).abs())),
    "weighted_l1, sparse": (
        lambda value, norms: losses.weighted_l1(value, norms, INDEX),
        (draw(4, 3), draw(6, number=1).abs()),
    ),
    "tanh_l0": (lambda value, norms: losses.tanh_l0(value, norms, 4.0), (draw(4, 6), draw(6, number=1).abs())),
    "relative_l0": (lambda l0: losses.relative_l0(l0, 3.0), (draw(4).abs(),)),
    "relative_l0, by row": (lambda l0: losses.relative_l0(l0, 3.0, each_row=True), (draw(4).abs(),)),
    "out_of_reach": (losses.out_of_reach, (draw(4, 6), draw(6, number=1), draw(6, number=2).abs())),
    "error_by_latent": (
        lambda z, f: losses.error_by_latent(z, f, draw(3, number=2).abs()),
        (draw(4, 3), draw(4, 3, number=1)),
    ),
    "uncovered": (losses.uncovered, (draw(4, 6).relu(), draw(4, 6, number=1))),
}


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_loss_has_the_gradient_of_its_value(name: str) -> None:
    function, inputs = LOSSES[name]
    if name == "uncovered":  # what is predicted is never differentiated where it is zero
        function = lambda reach: losses.uncovered(inputs[0], reach)  # noqa: E731
        inputs = inputs[1:]
    assert gradcheck(function, tuple(part.clone().requires_grad_() for part in inputs))


def test_every_loss_is_checked() -> None:
    public = {name for name, item in vars(losses).items() if getattr(item, "__module__", "") == losses.__name__}
    assert public == {name.partition(",")[0] for name in LOSSES}


def test_nested_reconstructions_have_the_gradient_of_dense_ones() -> None:
    value, rows, bias = draw(4, 3).abs() + 0.1, draw(6, 3, number=1), draw(3, number=2)
    widths = (2, 3, 6)

    def nested(value: Tensor, rows: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        return tuple(decode_nested(value, INDEX, rows, bias, widths))

    inputs = tuple(part.requires_grad_() for part in (value, rows, bias))
    assert gradcheck(nested, inputs)
    dense = torch.zeros(4, 6, dtype=torch.float64).scatter(1, INDEX, value)
    for width, found in zip(widths, nested(*inputs), strict=True):
        torch.testing.assert_close(found, dense[:, :width] @ rows[:width] + bias)


@pytest.mark.parametrize("k", [0.4, 2.5, 11.0])
def test_a_batch_shares_its_latents_as_a_dense_selection_does(k: float) -> None:
    x, start = draw(40, 12), [draw(30, 12, number=n) for n in (1, 2)]
    b_enc, b_dec = 0.1 * draw(30, number=3), 0.1 * draw(12, number=4)
    parameters = [part.clone().requires_grad_() for part in (start[0], b_enc, b_dec)]
    value, index = encode_batch_topk(x, *parameters, k)
    pre = ((x - parameters[2]) @ parameters[0].T + parameters[1]).relu()
    wanted = int(k * 40)
    least = pre.flatten().topk(wanted).values.min()
    dense = torch.where(pre >= least, pre, 0.0)
    assert int((value > 0).sum()) == wanted
    torch.testing.assert_close(torch.zeros_like(dense).scatter_add(1, index, value), dense)
    weight = draw(40, 30, number=5)
    ours = torch.autograd.grad((value * weight.gather(1, index)).sum(), parameters)
    theirs = torch.autograd.grad((dense * weight).sum(), parameters)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_straight_through_gradients_are_the_stated_formula() -> None:
    pre, theta, weight = draw(50, 6), draw(6, number=1).abs(), draw(50, 6, number=2)
    for width in (0.2, 1.5):
        near = ((pre - theta) / width).abs() < 0.5
        a, t = pre.clone().requires_grad_(), theta.clone().requires_grad_()
        to_pre, to_theta = torch.autograd.grad((jump(a, t, width) * weight).sum(), (a, t))
        torch.testing.assert_close(to_pre, weight * (pre > theta))
        torch.testing.assert_close(to_theta, -(weight * near * theta / width).sum(dim=0))
        (to_theta,) = torch.autograd.grad((step(a, t, width) * weight).sum(), (t,))
        torch.testing.assert_close(to_theta, -(weight * near / width).sum(dim=0))


def test_a_jump_differentiates_its_values_exactly_away_from_the_threshold() -> None:
    theta = torch.full((4,), 0.5, dtype=torch.float64)
    pre = torch.tensor([[0.1, 0.9, 2.0, -1.0]], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda pre: jump(pre, theta, 0.1), (pre,))


def test_a_selection_map_has_the_gradient_of_its_value() -> None:
    found = BlockMap(6, 3).double()
    value = draw(4, 3).abs() + 0.1

    def predicted(gate: Tensor, weight: Tensor, theta: Tensor) -> Any:
        parameters = {"gate": gate, "raw_weight": weight, "theta": theta}
        return torch.func.functional_call(found, parameters, (value, INDEX, generator(0, "gates")))

    given = tuple(part.detach().clone().requires_grad_() for part in (found.gate, found.raw_weight, found.theta))
    assert gradcheck(predicted, given)


@pytest.mark.parametrize("hold", [True, False])
def test_the_decoder_is_held_where_the_gate_rebuilds_unless_told_otherwise(hold: bool) -> None:
    model = golden({"kind": "gated", "hold_decoder": hold})
    model.log_gain, model.b_mag = torch.nn.Parameter(torch.zeros(6)), torch.nn.Parameter(torch.zeros(6))
    seen = model.represent({"x": X})
    TASKS.load("reconstruct_through_gate")().loss(model, seen, {"x": X})["gate"].backward()
    assert model.w_enc.grad is not None and model.w_enc.grad.any()
    assert (model.w_dec.grad is None) == hold
    assert model.log_gain.grad is None and model.b_mag.grad is None
