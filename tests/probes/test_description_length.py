"""Description length by hand, against brute force, and what it is for: telling useful codes and edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.stats import norm

from probes.metrics.description_length import Told, description_length, gaussian_bits, presence_bits, strength_bits
from probes.metrics.metric import measured

NO_EDGES = np.zeros((0, 2), dtype=np.int64)


def csr(*rows: list[float]) -> sparse.csr_matrix:
    return sparse.csr_matrix(np.array(rows, dtype=np.float32))


def test_presence_by_hand() -> None:
    """On in 1 of 3 calibration rows: a rate of 1.5 / 4."""
    bits = presence_bits(csr([1], [0], [0]), csr([2], [0]), NO_EDGES)
    assert bits == pytest.approx([-math.log2(0.375), -math.log2(0.625)])


def test_an_edge_by_hand() -> None:
    """Latent 1 is on just where latent 0 is: 2.5 / 3 and 0.5 / 3 in place of 2.5 / 5."""
    before, after = csr([1, 1], [1, 1], [0, 0], [0, 0]), csr([1, 1], [1, 0], [0, 0], [0, 1])
    bits = presence_bits(before, after, np.array([[0, 1]]))
    second = [2.5 / 3, 0.5 / 3, 2.5 / 3, 0.5 / 3]
    assert bits == pytest.approx([1 - math.log2(rate) for rate in second])


def test_presence_is_that_of_a_loop_over_rows_and_latents() -> None:
    random = np.random.default_rng(0)
    before, after = ((random.random((60, 7)) < 0.3).astype(np.float64) for _ in range(2))
    edges = np.array([[0, 3], [1, 3], [2, 5], [6, 0]])
    sources = {target: edges[edges[:, 1] == target, 0] for target in range(7)}
    bits = np.zeros(60)
    for latent in range(7):
        given_before, given_after = (part[:, sources[latent]].any(axis=1) for part in (before, after))
        for row in range(60):
            same = before[given_before == given_after[row], latent]
            rate = (same.sum() + 0.5) / (len(same) + 1)
            bits[row] -= math.log2(rate if after[row, latent] else 1 - rate)
    found = presence_bits(sparse.csr_matrix(before), sparse.csr_matrix(after), edges)
    np.testing.assert_allclose(found, bits, rtol=1e-9)


def test_strength_and_residual_by_hand() -> None:
    """Two values of mean 3 and a made-up one of the same: an exponential of mean 3, told to a step of 0.5."""
    bits = strength_bits(csr([2], [4]), csr([6], [0]), 0.5)
    assert bits == pytest.approx([math.log2(3 / 0.5) + 6 / 3 / math.log(2), 0.0])
    draw = torch.Generator().manual_seed(0)
    before, after = torch.randn(50, 3, generator=draw), torch.randn(9, 3, generator=draw)
    expected = -np.log2(norm.pdf(after.numpy(), before.mean(0).numpy(), before.numpy().std(axis=0)) * 0.1).sum(axis=1)
    np.testing.assert_allclose(gaussian_bits(before, after, 0.1), expected, rtol=1e-4)


def mixture(seed: int, chained: bool) -> tuple[torch.Tensor, sparse.csr_matrix, torch.Tensor]:
    """Sparse mixtures of eight directions in 16 dimensions; where `chained`, 0 to 3 are on just where 4 to 7 are."""
    random = np.random.default_rng(seed)
    on = random.random((4000, 8)) < 0.2
    if chained:
        on[:, 4:] = on[:, :4]
    codes = (on * random.exponential(1.0, on.shape)).astype(np.float32)
    rows = np.linalg.qr(np.random.default_rng(5).normal(size=(16, 16)))[0][:8]
    x = codes @ rows + 0.03 * random.normal(size=(4000, 16))
    return torch.from_numpy(x).float(), sparse.csr_matrix(codes), torch.from_numpy(x - codes @ rows).float()


def test_true_codes_save_bits_and_codes_that_say_nothing_cost_them() -> None:
    (x, codes, residual), (y, held, left) = mixture(0, False), mixture(1, False)
    useful = measured(description_length(Told(x, residual, codes), Told(y, left, held)), "bits")
    idle = measured(description_length(Told(x, x, codes), Told(y, y, held)), "bits")
    none = measured(description_length(Told(x, x, 0 * codes), Told(y, y, 0 * held)), "bits")
    assert useful["bits_saved"] > 0.05 and idle["bits_saved"] < 0
    assert none["bits_saved"] == pytest.approx(0, abs=1e-3)
    assert idle["residual_bits"] == none["residual_bits"] > useful["residual_bits"]
    assert useful["description_length"] == pytest.approx(useful["residual_bits"] + useful["code_bits"])


def test_edges_pay_for_themselves_only_where_they_are_real() -> None:
    edges = np.array([[0, 4], [1, 5], [2, 6], [3, 7]])
    for chained in (True, False):
        (x, codes, residual), (y, held, left) = mixture(0, chained), mixture(1, chained)
        told = Told(x, residual, codes), Told(y, left, held)
        plain = measured(description_length(*told), "bits")
        linked = measured(description_length(*told, edges=edges, training_rows=4000), "bits")
        assert linked["edge_bits"] == pytest.approx(4 * 3 / 4000)
        assert (linked["description_length"] < plain["description_length"] - 1) == chained
    assert linked["description_length"] > plain["description_length"]
