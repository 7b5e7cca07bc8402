"""Losses have the values that the original libraries compute on the same inputs (formulas, section 2F)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.folding import unit_rows
from probes.autoencoders.gated import GatedAutoencoder
from probes.autoencoders.losses import (
    normalised_error,
    out_of_reach,
    relative_l0,
    revival_error,
    squared_error,
    tanh_l0,
    weighted_l1,
)
from probes.autoencoders.nested import decode_nested
from probes.autoencoders.normalisation import MeanNorm, MeanSquare
from probes.autoencoders.selection import encode_batch_topk
from probes.autoencoders.sparse import decode_sparse
from probes.autoencoders.straight_through import jump, step
from tests.fixtures.golden import B_DEC, B_ENC, DEAD, W_DEC, W_ENC, X, golden


def close(found: Tensor | float, wanted: float) -> None:
    assert float(torch.as_tensor(found).detach()) == pytest.approx(wanted, rel=1e-4)


def revival(model: TrainableAutoencoder, seen: Encoded, k: int = 2) -> Tensor:
    """AuxK in SAELens' summed form: mean over rows of the squared error of the residual."""
    residual = (seen.target - seen.decoded).detach()
    share = revival_error(residual, model.pre_activations(seen.x, DEAD), model.w_dec[DEAD], k)
    return share * residual.square().sum() / len(X)


def test_topk_and_its_revival() -> None:
    model = golden("topk")
    seen = model.represent({"x": X})
    close(squared_error(X, seen.decoded), 40.170795)
    close(normalised_error(X, seen.decoded), 5.0748396)
    close(revival(model, seen), 106.870216)


def test_topk_in_units_of_the_decoder_norms() -> None:
    w_enc, b_enc, w_dec = unit_rows(W_ENC, B_ENC, W_DEC)
    model = golden("topk", w_enc=w_enc, b_enc=b_enc, w_dec=w_dec)
    seen = model.represent({"x": X})
    close(squared_error(X, seen.decoded), 40.170788)
    close(revival(model, seen), 83.688103)


def test_batch_topk_shares_a_fractional_k() -> None:
    model = golden("batch_topk", 1.5)
    seen = model.represent({"x": X})
    assert seen.l0().tolist() == [1, 2, 1, 1, 2]
    close(squared_error(X, seen.decoded), 45.286213)
    close(revival(model, seen), 102.254128)
    # Other tools' running threshold after one update from zero is a hundredth of the smallest active value.
    close(0.01 * seen.value[seen.value > 0].min(), 0.0289445)


def test_batch_topk_in_units_of_the_decoder_norms() -> None:
    w_enc, b_enc, w_dec = unit_rows(W_ENC, B_ENC, W_DEC)
    model = golden("batch_topk", 1.5, w_enc=w_enc, b_enc=b_enc, w_dec=w_dec)
    seen = model.represent({"x": X})
    close(squared_error(X, seen.decoded), 45.286213)
    close(revival(model, seen), 83.917374)
    close(0.01 * seen.value[seen.value > 0].min(), 0.03825146)


def test_matryoshka_reconstructs_from_every_width() -> None:
    model = golden({"kind": "matryoshka", "widths": (0.25, 0.5)})
    seen = model.represent({"x": X})
    assert seen.l0().tolist() == [3, 2, 2, 1, 2]
    inner = [float(squared_error(X, part).detach()) for part in (*seen.prefixes, seen.decoded)]
    assert inner == pytest.approx([11.306391, 31.325573, 39.716492], rel=1e-4)
    close(revival(model, seen), 104.349937)
    # dictionary_learning averages over the widths, with weights that already sum to one.
    close(sum(inner) / 9, 9.14983)
    assert (min(inner) / 3, max(inner) / 3) == pytest.approx((3.768797, 13.238833), rel=1e-4)


def test_matryoshka_with_the_empty_prefix_and_no_encoder_bias() -> None:
    """The reference of Bussmann et al. counts the bias alone as a prefix and takes means per element."""
    value, index = encode_batch_topk(X, W_ENC, torch.zeros(6), B_DEC, 2)
    widths = decode_nested(value, index, W_DEC, B_DEC, (2, 4, 6))
    empty, *errors = [float((X - part).square().mean()) for part in (B_DEC.expand_as(X), *widths)]
    assert ((empty + sum(errors)) / 4, min(errors), max(errors)) == pytest.approx(
        (5.6183, 2.750925, 9.997803), rel=1e-4
    )
    close(0.01 * value[value > 0].min(), 0.01972342)


def test_relu_with_its_weighted_price() -> None:
    model = golden("relu")
    seen = model.represent({"x": X})
    close(squared_error(X, seen.decoded), 37.00045)
    close(0.5 * weighted_l1(seen.value, model.decoder_norms()), 5.293972)


def test_gated_with_the_price_and_the_reconstruction_of_its_gate() -> None:
    model = golden("gated", b_mag=2 * B_ENC, log_gain=torch.full((6,), 0.1))
    seen = model.represent({"x": X})
    assert seen.pre is not None and isinstance(model, GatedAutoencoder)
    close(squared_error(X, seen.decoded), 41.660889)
    close(0.5 * weighted_l1(seen.pre.relu(), model.decoder_norms()), 5.293972)
    close(squared_error(X, model.through_gate(seen.pre)), 37.00045)


@pytest.mark.parametrize(
    ("penalty", "value", "slope"),
    [
        ("step", 0.3, [0, -0.17208, 3.47935, 0, 0, 0]),
        ("tanh", 0.2999904, [0, -0.24179, 3.51925, 0, 0, 0]),
        ("quadratic", 0.14, [0, -0.21208, 3.43935, 0, 0, 0]),
    ],
)
def test_jumprelu_with_each_penalty(penalty: str, value: float, slope: list[float]) -> None:
    model = golden({"kind": "jumprelu", "bandwidth": 0.5}, threshold=torch.full((6,), 0.5))
    seen, theta = model.represent({"x": X}), model.thresholds()
    assert seen.pre is not None
    error, l0 = squared_error(X, seen.decoded), step(seen.pre, theta, 0.5).sum(dim=-1)
    counted = {
        "step": l0.mean(),
        "tanh": tanh_l0(seen.value, model.decoder_norms(), 4.0),
        "quadratic": 2 * 2 * relative_l0(l0, 2, each_row=True),  # SAELens: (2 / T) (L0 − T)²
    }[penalty]
    far = 3e-6 * out_of_reach(seen.pre[:, DEAD], theta[DEAD], model.decoder_norms()[DEAD])
    close(error, 36.854317)
    close(0.1 * counted, value)
    assert float(far.detach()) == pytest.approx(2.01e-5, rel=3e-3)  # given to three digits
    (found,) = torch.autograd.grad(error + 0.1 * counted + far, model.threshold)
    assert found.tolist() == pytest.approx(slope, abs=2e-5)


def test_the_two_ways_to_be_near_a_target_number() -> None:
    l0 = torch.tensor([3.0, 3.0, 2.0, 4.0, 3.0])
    close(relative_l0(l0, 2), 0.25)
    close(relative_l0(l0, 2, each_row=True), 0.35)


def test_gradients_pass_straight_through_a_threshold() -> None:
    pre = torch.tensor([[0.2, 0.6, 0.9, -0.4]], requires_grad=True)
    theta = torch.full((4,), 0.5, requires_grad=True)
    to_pre, to_theta = torch.autograd.grad(jump(pre, theta, 0.5).sum(), (pre, theta))
    assert to_pre.tolist() == [[0, 1, 1, 0]] and to_theta.tolist() == [0, -1, 0, 0]
    to_pre, to_theta = torch.autograd.grad(step(pre, theta, 0.5).sum(), (pre, theta), allow_unused=True)
    assert to_pre is None and to_theta.tolist() == [0, -2, 0, 0]


def test_scales_of_the_rows() -> None:
    close(MeanNorm.factor(X), 0.71286190)
    close(1 / MeanSquare.factor(X), 2.81641984)


def test_other_tools_revival_is_ours_with_a_relu() -> None:
    """dictionary_learning and sparsify rebuild the residual from ReLU'd pre-activations, and differ in the unit."""
    model = golden("topk")
    seen = model.represent({"x": X})
    residual = (X - seen.decoded).detach()
    pre = model.pre_activations(X, DEAD)
    kept = pre.topk(2, dim=1)
    error = (residual - decode_sparse(kept.values.relu(), DEAD[kept.indices], W_DEC)).square().sum()
    close(error / len(X), 73.339279)
    close(error / (residual - residual.mean(dim=0)).square().sum(), 1.8662063)
    close(error / (X - X.mean(dim=0)).square().sum(), 9.2650661)
