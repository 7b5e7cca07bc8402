"""Losses of representations: values worked out by hand, and the gradient of each value in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.autograd.functional import jacobian

from probes.constraints.mechanism_sparsity import MechanismSparsity, sparseness
from probes.constraints.minimal_change import spread_of_change
from probes.parts import contrast, independence
from probes.parts.domains import explained_by_domain
from probes.parts.likelihood import gaussian_kl, normal_log_density
from probes.parts.networks import seeded
from probes.parts.transitions import Transitions, transition_log_density
from probes.tasks.captions import likeness
from probes.training.randomness import generator

SIGNS = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
EYE = torch.eye(2, dtype=torch.float64)
HALF = torch.stack([SIGNS[:, 0], 0.5 * SIGNS[:, 0] + math.sqrt(0.75) * SIGNS[:, 1]], dim=1)  # correlation one half
FAR = torch.tensor([[-50.0, -50.0], [50.0, 50.0]], dtype=torch.float64)
ZERO = torch.zeros(2, 2, dtype=torch.float64)

VALUES: dict[str, tuple[Callable[[], Tensor | float], float]] = {
    "info_nce tells two orthogonal pairs apart": (lambda: contrast.info_nce(EYE, EYE, 1.0), math.log(math.e + 2) - 1),
    "info_nce of rows that are all alike": (lambda: contrast.info_nce(SIGNS * 0 + 1, SIGNS * 0 + 1, 0.2), math.log(7)),
    "matched_pairs of two pairs": (lambda: contrast.matched_pairs(EYE), math.log(math.e + 1) - 1),
    "barlow of columns that agree": (lambda: contrast.barlow(SIGNS, SIGNS, 0.5), 0.0),
    "barlow of columns that changed places": (lambda: contrast.barlow(SIGNS, SIGNS.flip(1), 0.5), 3.0),
    "vicreg of views that agree": (lambda: contrast.vicreg(SIGNS, SIGNS, 25, 25, 1), 0.0),
    "vicreg's variance": (lambda: contrast.vicreg(SIGNS / 2, SIGNS / 2, 0, 1, 0), 2 * (1 - math.sqrt(1 / 3))),
    "vicreg's invariance": (lambda: contrast.vicreg(SIGNS, -SIGNS, 1, 0, 0), 4.0),
    "vicreg's covariance": (
        lambda: contrast.vicreg(SIGNS[:, [0, 0]], SIGNS, 0, 0, 1),
        2 * (4 / 3) ** 2 / 2,
    ),
    "gaussian_kl of a shifted mean": (lambda: gaussian_kl(EYE[:1, :1], ZERO[:1, :1]).sum(), 0.5),
    "gaussian_kl of a wider one": (
        lambda: gaussian_kl(ZERO[:1, :1], ZERO[:1, :1] + math.log(4)).sum(),
        (3 - math.log(4)) / 2,
    ),
    "gaussian_kl to itself": (lambda: gaussian_kl(EYE, EYE, EYE, EYE).sum(), 0.0),
    "normal_log_density at its peak": (lambda: normal_log_density(ZERO, ZERO, ZERO)[0, 0], -0.9189385),
    "off_diagonal_correlation of a copy": (lambda: independence.off_diagonal_correlation(SIGNS[:, [0, 0]]), 1.0),
    "off_diagonal_correlation of one half": (lambda: independence.off_diagonal_correlation(HALF), 0.25),
    "gaussian_dependence of one half": (lambda: independence.gaussian_dependence(HALF, 0.0), -math.log(0.75) / 2),
    "gaussian_dependence drawn in": (lambda: independence.gaussian_dependence(HALF, 1.0), 0.0),
    "total_correlation of two places": (lambda: independence.total_correlation(FAR, FAR, ZERO), math.log(2)),
    "total_correlation of one place": (lambda: independence.total_correlation(FAR * 0, FAR * 0, ZERO), 0.0),
    "likeness through a mask": (lambda: likeness(HALF[:1], EYE[:1], EYE[:1])[0, 0], 1.0),
    "likeness without one": (lambda: likeness(SIGNS[:1], EYE[:1], None)[0, 0], math.sqrt(0.5)),
    "sparseness of one dimension of four": (lambda: sparseness(torch.tensor([[[3.0, 0, 0, 0]]]).double()), 0.5),
    "sparseness of nothing at all": (lambda: sparseness(torch.zeros(2, 3, 4).double()), 1.0),
    "sparseness of all alike": (lambda: sparseness(torch.ones(2, 3, 4).double()), 1.0),
    "spread_of_change over two latents": (lambda: spread_of_change(torch.tensor([[300.0, 400.0]]).double()), 1.4),
}


@pytest.mark.parametrize("name", list(VALUES))
def test_a_loss_has_its_value(name: str) -> None:
    found, wanted = VALUES[name]
    assert float(found()) == pytest.approx(wanted, abs=1e-5)


BLIND: dict[str, Callable[[Tensor], Tensor]] = {
    "off_diagonal_correlation": independence.off_diagonal_correlation,
    "gaussian_dependence": lambda z: independence.gaussian_dependence(z, 0.05),
    "barlow": lambda z: contrast.barlow(z, z.roll(1, dims=1) * 0.5 + z, 0.1),
    "standardised": lambda z: contrast.standardised(z)[0, 0],
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", list(BLIND))
def test_what_is_blind_to_scale_is_so_at_every_scale(name: str, dtype: torch.dtype) -> None:
    z = (draw(64, 1) + 0.5 * draw(64, 4, number=1)).to(dtype)
    wanted = float(BLIND[name](z))
    assert abs(wanted) > 0.1
    for size in (1e-12, 1e-6, 1e-3, 1e3, 1e6):
        assert float(BLIND[name](z * size)) == pytest.approx(wanted, rel=1e-4), size
    one = z * torch.tensor([1e-6, 1.0, 1e4, 1.0], dtype=dtype)
    if name != "barlow":  # whose second view mixes the columns
        assert float(BLIND[name](one)) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("constant", [0.0, 0.3, -7e5])
@pytest.mark.parametrize("name", list(BLIND))
def test_a_constant_column_counts_as_uncorrelated_and_breaks_no_gradient(name: str, constant: float) -> None:
    z = draw(64, 4).float()
    z[:, 1] = constant
    z.requires_grad_()
    value = BLIND[name](z)
    (slope,) = torch.autograd.grad(value, z)
    assert bool(torch.isfinite(value)) and bool(torch.isfinite(slope).all()) and float(slope.abs().max()) < 1e4
    assert float(contrast.standardised(z)[:, 1].abs().max()) < 1e-6


def test_a_latent_that_moves_nothing_is_no_sparser_than_any_that_does() -> None:
    alive = torch.rand(4, 32, 20, generator=generator(0, "slopes"))
    for size in (0.0, 1e-12):
        given_up = alive.clone()
        given_up[0] *= size
        assert float(sparseness(given_up)) > float(sparseness(alive)), "else training gives latents up"
    best = torch.eye(20)[:4, None].expand(4, 32, 20)
    assert float(sparseness(best)) == pytest.approx(20**-0.5, abs=1e-5)
    model: Any = SimpleNamespace(slopes=lambda *_: given_up * 0, decoder=None)
    nothing: Any = None
    certified = MechanismSparsity().certify(model, nothing)
    assert (certified["spread"], certified["hardly_moved"], certified["dead"]) == (pytest.approx(1.0), 0.0, 1.0)


def test_the_share_between_domains_is_that_of_an_analysis_of_variance() -> None:
    domain = torch.tensor([0, 0, 2, 2])
    z = torch.stack([torch.tensor([1.0, 1, 3, 3]), torch.tensor([1.0, 3, 1, 3]), torch.tensor([0.0, 2, 2, 4])], dim=1)
    assert explained_by_domain(z, domain, 3).tolist() == pytest.approx([1.0, 0.0, 0.5])


def draw(*shape: int, number: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(number, "gradient"), dtype=torch.float64)


PAIR = (draw(5, 3), draw(5, 3, number=1))
GRADIENTS: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "info_nce": (lambda a, b: contrast.info_nce(a, b, 0.5), PAIR),
    "matched_pairs": (contrast.matched_pairs, (draw(4, 4),)),
    "barlow": (lambda a, b: contrast.barlow(a, b, 0.1), PAIR),
    "vicreg": (lambda a, b: contrast.vicreg(a, b, 25, 25, 1), PAIR),
    "gaussian_kl": (lambda *parts: gaussian_kl(*parts).sum(), (*PAIR, draw(5, 3, number=2), draw(5, 3, number=3))),
    "normal_log_density": (lambda *parts: normal_log_density(*parts).sum(), (*PAIR, draw(5, 3, number=2))),
    "off_diagonal_correlation": (independence.off_diagonal_correlation, PAIR[:1]),
    "gaussian_dependence": (lambda z: independence.gaussian_dependence(z, 0.05), PAIR[:1]),
    "total_correlation": (independence.total_correlation, (*PAIR, draw(5, 3, number=2))),
    "explained_by_domain": (
        lambda z: explained_by_domain(z, torch.tensor([0, 1, 1, 0, 2]), 4).sum(),
        PAIR[:1],
    ),
    "likeness": (lambda *parts: likeness(*parts).sum(), (*PAIR, draw(5, 3, number=2).sigmoid())),
    "sparseness": (sparseness, (draw(2, 3, 4).abs(),)),
    "spread_of_change": (spread_of_change, PAIR[:1]),
}


@pytest.mark.parametrize("name", list(GRADIENTS))
def test_a_loss_has_the_gradient_of_its_value(name: str) -> None:
    function, inputs = GRADIENTS[name]
    assert gradcheck(function, [value.clone().requires_grad_() for value in inputs])


@pytest.mark.parametrize("instantaneous", [False, True])
def test_the_slopes_of_a_transition_are_its_jacobian(instantaneous: bool) -> None:
    made = seeded(lambda: Transitions(3, 2, instantaneous=instantaneous), 0, "transitions").double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(1, "transition"), dtype=torch.float64) / 2)
    z, past = draw(1, 3), draw(1, 6, number=1)
    _, by_now, by_past = made(z, past)
    exact = jacobian(lambda now, then: made(now, then)[0][0], (z, past))
    assert torch.allclose(by_now[0], exact[0][:, 0]) and torch.allclose(by_past[0], exact[1][:, 0])
    assert bool((by_now[0] - by_now[0].diag().diag()).any()) == instantaneous


def test_a_transition_that_does_nothing_leaves_standard_normals() -> None:
    noise, by_now = draw(4, 3), torch.eye(3, dtype=torch.float64).expand(4, 3, 3)
    wanted = normal_log_density(noise, torch.zeros(()), torch.zeros(())).sum(dim=1)
    assert torch.allclose(transition_log_density(noise, by_now), wanted)
    halved = transition_log_density(noise / 2, by_now / 2)  # z is drawn twice as wide
    assert torch.allclose(halved, normal_log_density(noise, torch.zeros(()), torch.tensor(math.log(4))).sum(dim=1))
