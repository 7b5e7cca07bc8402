"""A dictionary encodes by every rule there is: thresholds, a largest number, gates, row norms, skips."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from probes.autoencoders.dictionary import Dictionary, unknown_table
from probes.errors import WorkbenchError
from probes.hooks import HookPoint
from probes.kernels.choice import Choice, prefer
from probes.latents import Codes

POINT = HookPoint(path="layers.0")


def numbers(*shape: int, step: float, scale: float = 1.0) -> torch.Tensor:
    count = math.prod(shape)
    return (scale * torch.sin(step * torch.arange(count, dtype=torch.float64) + 0.3)).float().reshape(shape)


X = numbers(5, 4, step=1.9, scale=2.0)
W_ENC, W_DEC = numbers(4, 6, step=1.37), numbers(6, 4, step=2.11)
B_ENC, B_DEC = numbers(6, step=0.9, scale=0.1), numbers(4, step=0.4, scale=0.2)


def dictionary(threshold: float | torch.Tensor = 0.0, most: int | None = None, **more: object) -> Dictionary:
    level = torch.as_tensor(threshold)
    return Dictionary(W_ENC.T.contiguous(), B_ENC, W_DEC, B_DEC, level, most, unknown_table(6, "low"), POINT, **more)  # type: ignore[arg-type]


PRE = (X - B_DEC) @ W_ENC + B_ENC


def test_thresholds_alone_leave_as_many_on_as_pass() -> None:
    threshold = numbers(6, step=0.7).abs()
    codes = dictionary(threshold).encode(X)
    expected = torch.where(threshold < PRE, PRE, 0.0)
    torch.testing.assert_close(codes.dense(), expected)
    assert codes.value.shape[1] == int((expected != 0).sum(dim=1).max())


def test_rows_may_be_all_off() -> None:
    codes = dictionary(1e6).encode(X)
    assert not codes.dense().any() and codes.value.shape == (5, 1)
    assert dictionary().encode(X[:0]).value.shape[0] == 0


def test_a_largest_number_and_thresholds_hold_together() -> None:
    codes = dictionary(1.0, most=2).encode(X)
    best = torch.zeros_like(PRE).scatter(1, PRE.topk(2).indices, PRE.topk(2).values)
    torch.testing.assert_close(codes.dense(), torch.where(best > 1.0, best, 0.0))


def test_without_centring_the_bias_stays_out_of_the_encoder() -> None:
    torch.testing.assert_close(dictionary(centre=False).encode(X).dense(), (X @ W_ENC + B_ENC).relu())


def test_a_gate_decides_and_the_magnitude_has_its_own_gain() -> None:
    gain, bias = torch.full((6,), math.exp(0.1)), 2 * B_ENC
    found = dictionary(gain=gain, magnitude_bias=bias).encode(X).dense()
    magnitude = ((X - B_DEC) @ W_ENC) * gain + bias
    torch.testing.assert_close(found, torch.where(PRE > 0, magnitude.relu(), 0.0))


def test_row_norms_are_undone_so_that_codes_are_lengths_in_the_stream() -> None:
    space = dictionary(row_norm=1e-5)
    mean, spread = X.mean(dim=1, keepdim=True), X.std(dim=1, keepdim=True) + 1e-5
    z = (((X - mean) / spread - B_DEC) @ W_ENC + B_ENC).relu()
    torch.testing.assert_close(space.encode(X).dense(), z * spread)
    torch.testing.assert_close(space.reconstruct(X), (z @ W_DEC + B_DEC) * spread + mean)


def test_a_skip_transcoder_adds_a_map_of_its_input() -> None:
    skip = numbers(4, 4, step=0.31)
    space = dictionary(centre=False, skip=skip)
    z = (X @ W_ENC + B_ENC).relu()
    torch.testing.assert_close(space.reconstruct(X), z @ W_DEC + B_DEC + X @ skip.T)


def test_what_a_change_adds_is_the_difference_of_reconstructions() -> None:
    space = dictionary(row_norm=1e-5, skip=numbers(4, 4, step=0.31))
    codes = space.encode(X)
    raised = Codes(codes.index, codes.value * 1.5, 6)
    torch.testing.assert_close(
        space.reconstruct(X, raised) - space.reconstruct(X, codes),
        space.change(codes.scaled(0.5)),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    "space",
    [
        dictionary(),
        dictionary(0.4, most=3),
        dictionary(numbers(6, step=0.7).abs()),
        dictionary(centre=False, skip=numbers(4, 4, step=0.31)),
        dictionary(gain=torch.full((6,), 1.2), magnitude_bias=B_ENC, row_norm=1e-5),
    ],
    ids=["relu", "topk", "jumprelu", "skip transcoder", "gated with row norm"],
)
def test_every_rule_survives_saving(space: Dictionary) -> None:
    again = Dictionary.from_tensors(space.tensors(), space.table, POINT)
    assert torch.equal(again.encode(X).dense(), space.encode(X).dense())
    assert torch.equal(again.reconstruct(X), space.reconstruct(X))
    assert again.threshold.dtype == torch.float32


@pytest.mark.parametrize(
    "change",
    [
        {"w_dec": torch.zeros(5, 4)},
        {"b_enc": torch.zeros(4)},
        {"threshold": torch.zeros(3)},
        {"gain": torch.zeros(6)},
        {"skip": torch.zeros(3, 4)},
        {"w_enc": torch.zeros(6, 4, 1)},
        {"inner_source": torch.tensor([0])},
        {"inner_source": torch.tensor([0]), "inner_target": torch.tensor([6]), "inner_weight": torch.ones(1)},
        {"inner_source": torch.tensor([-1]), "inner_target": torch.tensor([1]), "inner_weight": torch.ones(1)},
        {"inner_source": torch.tensor([0.0]), "inner_target": torch.tensor([1]), "inner_weight": torch.ones(1)},
        {"inner_source": torch.tensor([0, 1]), "inner_target": torch.tensor([1]), "inner_weight": torch.ones(1)},
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(change: dict[str, torch.Tensor]) -> None:
    with pytest.raises(WorkbenchError, match="do not fit 6 latents"):
        Dictionary.from_tensors(dictionary().tensors() | change, unknown_table(6, "low"), POINT)


def test_weights_are_kept_in_half_precision_only_where_nothing_is_lost() -> None:
    assert dictionary().tensors()["w_enc"].dtype == torch.float32
    rounded = replace(dictionary(), w_enc=W_ENC.T.half().float())
    assert rounded.tensors()["w_enc"].dtype == torch.float16


def test_a_few_latents_that_do_not_compete_read_only_their_own_rows() -> None:
    """The rest of the encoder is spoilt here: not a number of it may be looked at."""
    gated = {"gain": torch.full((6,), math.exp(0.1)), "magnitude_bias": 2 * B_ENC}
    for more in ({}, {"row_norm": 1e-5}, gated):
        whole = dictionary(numbers(6, step=0.7).abs(), **more)
        expected = whole.encode(X).dense()[:, [4, 1]]
        w_enc = torch.full_like(whole.w_enc, torch.nan)
        w_enc[[4, 1]] = whole.w_enc[[4, 1]]
        found = replace(whole, w_enc=w_enc).encode(X, [4, 1])
        torch.testing.assert_close(found.value, expected)
        assert found.index.tolist() == [[4, 1]] * 5


@pytest.mark.parametrize("which", ["torch", "compiled"])
@pytest.mark.parametrize("most", [None, 3])
def test_many_rows_at_once_have_the_codes_each_has_alone(
    which: Choice, most: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Screened in bfloat16 or not, compiled or not: the values are the float32 ones."""
    monkeypatch.setattr("probes.autoencoders.dictionary.narrow_pays", lambda: True)
    prefer(which)
    rows = numbers(600, 4, step=0.77, scale=2.0) + 1.0
    space = dictionary(0.1, most=most)
    whole = space.encode(rows).dense()
    prefer("auto")
    alone = torch.cat([space.encode(rows[at : at + 1]).dense() for at in range(600)])
    torch.testing.assert_close(whole, alone, rtol=1e-5, atol=1e-5)
