"""Absorption by hand, row by row, and the choice of the latents that stand for a letter."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from probes.metrics.absorption import absorption
from probes.metrics.first_letter import standing_for

PROBE = torch.tensor([5.0, 0.0])  # its length does not matter
DECODER = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.05, 0.9987], [-1.0, 0.0]])
X = torch.tensor([10.0, 3.0])  # holds 10 along the probe


@pytest.mark.parametrize(
    ("codes", "fraction", "full"),
    [
        pytest.param([10.0, 0.0, 0.0, 0.0], 0.0, False, id="the latent tells it all"),
        pytest.param([4.0, 5.0, 0.0, 0.0], 0.0, False, id="another tells 3 of 10, less than 0.4"),
        pytest.param([4.0, 10.0, 0.0, 0.0], 0.6, False, id="another tells the missing 6"),
        pytest.param([6.0, 20.0, 0.0, 0.0], 0.4, False, id="another tells more than the missing 4"),
        pytest.param([0.0, 10.0, 0.0, 0.0], 1.0, True, id="the latent is silent"),
        pytest.param([0.0, 0.0, 200.0, 0.0], 0.0, True, id="told by a latent with cosine 0.05: full only"),
        pytest.param([0.0, 0.0, 0.0, 50.0], 0.0, False, id="latents that point away tell nothing"),
        pytest.param([0.0, 0.0, 0.0, 0.0], 0.0, False, id="nobody tells it: missing, not absorbed"),
    ],
)
def test_absorption_by_hand(codes: list[float], fraction: float, full: bool) -> None:
    found = absorption(X[None], torch.tensor([codes]), DECODER, PROBE, torch.tensor([0]))
    assert float(found.fraction) == pytest.approx(fraction, abs=1e-6)
    assert bool(found.full) is full


def test_only_three_others_share_and_two_latents_may_stand_for_a_concept() -> None:
    decoder = torch.tensor([[1.0, 0.0]] + [[0.5, 0.75**0.5]] * 5)
    codes = torch.tensor([[0.0, 4.0, 4.0, 4.0, 4.0, 4.0]])
    one = absorption(X[None], codes, decoder, PROBE, torch.tensor([0]))
    assert float(one.fraction) == 1.0
    two = absorption(X[None], codes, decoder, PROBE, torch.tensor([0, 1]))
    assert float(two.fraction) == pytest.approx(6 / 8)  # three others tell 2 each, the second main one 2
    assert not bool(two.full)


def test_decoder_rows_of_any_length_give_the_same_absorption() -> None:
    codes, length = torch.tensor([[4.0, 10.0, 0.0, 0.0]]), torch.tensor([2.0, 0.5, 1.0, 3.0])
    plain = absorption(X[None], codes, DECODER, PROBE, torch.tensor([0]))
    scaled = absorption(X[None], codes / length, DECODER * length[:, None], PROBE, torch.tensor([0]))
    torch.testing.assert_close(plain.fraction, scaled.fraction)


def test_as_many_latents_stand_for_a_letter_as_it_is_split_into() -> None:
    random = np.random.default_rng(0)
    y = np.arange(400) % 4 == 0
    noise = (random.random((400, 12)) * (random.random((400, 12)) < 0.1)).astype(np.float32)
    whole, split = noise.copy(), noise.copy()
    whole[:, 5] = y * (1 + random.random(400))
    halves = random.random(400) < 0.5
    split[:, 2], split[:, 9] = y * halves * 2.0, y * ~halves * 2.0
    assert standing_for(whole, y) == [5]
    assert sorted(standing_for(split, y)) == [2, 9]
