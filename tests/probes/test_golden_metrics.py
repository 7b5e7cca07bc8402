"""Metrics against values computed by the original libraries (their conventions, our functions)."""

from __future__ import annotations

import pytest
import torch

from probes.metrics.loss_recovered import cross_entropy, divergence
from probes.metrics.metric import measured
from probes.metrics.moments import Moments

GOLDEN = {  # X against 0.9 X + 0.05; SAELens 6.54.12, dictionary_learning 0.1.0, eai-sparsify 1.3.3
    "explained_variance": 0.98867117,
    "explained_variance_per_row": 0.98850596,
    "explained_variance_of_deviations": 0.99,
    "unexplained_variance": 0.01132882,
    "relative_bias": 0.90117836,
}


def x_rows() -> torch.Tensor:
    """2 sin(1.9 i + 0.3), row-major index i, `5 4` float32."""
    return (2 * torch.sin(1.9 * torch.arange(20, dtype=torch.float32) + 0.3)).reshape(5, 4)


@pytest.mark.parametrize("splits", [(5,), (1, 4), (2, 2, 1)])
def test_reconstruction_figures_are_those_of_the_libraries_they_are_named_after(splits: tuple[int, ...]) -> None:
    x = x_rows()
    moments = Moments(x.mean(dim=0), 3)
    for rows in x.split(list(splits)):
        nothing = torch.zeros(len(rows), 1)
        moments.add(rows, 0.9 * rows + 0.05, nothing.long(), nothing)
    found = measured(moments, "moments")
    assert {name: found[name] for name in GOLDEN} == pytest.approx(GOLDEN, rel=1e-4)


def test_the_mean_explains_nothing_and_a_constant_error_is_forgiven_by_one_convention_only() -> None:
    x = x_rows()
    flat, shifted = (Moments(x.mean(dim=0), 1) for _ in range(2))
    nothing = torch.zeros(5, 1)
    flat.add(x, x.mean(dim=0).expand_as(x), nothing.long(), nothing)
    shifted.add(x, x + 0.5, nothing.long(), nothing)
    found = measured(flat, "moments")
    assert found["explained_variance"] == pytest.approx(0, abs=1e-6)
    assert found["explained_variance_per_row"] == pytest.approx(0, abs=1e-6)
    assert found["explained_variance_uncentred"] > 0
    found = measured(shifted, "moments")
    assert found["explained_variance_of_deviations"] == pytest.approx(1)
    assert found["explained_variance"] < 0.95


def test_cross_entropy_and_divergence_are_torchs() -> None:
    draw = torch.Generator().manual_seed(0)
    log_p, log_q = (torch.randn(2, 3, 7, generator=draw).log_softmax(-1) for _ in range(2))
    tokens = torch.randint(7, (2, 4), generator=draw)
    expected = torch.nn.functional.cross_entropy(log_p.flatten(0, 1), tokens[:, 1:].flatten())
    assert float(cross_entropy(log_p, tokens).mean()) == pytest.approx(float(expected), rel=1e-6)
    expected = torch.nn.functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)
    torch.testing.assert_close(divergence(log_p, log_q), expected)
    assert float(divergence(log_p, log_p).abs().max()) == 0
