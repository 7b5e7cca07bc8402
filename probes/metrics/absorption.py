"""Absorption: a direction that a dictionary's own latent for it leaves to other, more special latents.

The rule is SAEBench's (first-letter absorption, Chanin et al. 2024): of what an activation holds along a
probe's direction, how much is told by the latents that stand for it, and how much by a few others that
point the same way. Formulas and thresholds: formulas 2D.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from probes.metrics.metric import Metric

OTHERS = 3  # how many other latents may share in an absorption
OTHER_COSINE, TOP_COSINE = 0.1, 0.025
SHARE = 0.4
OFF = 1e-8


class Absorption(NamedTuple):
    """Per candidate activation (`row`): the share absorbed, and whether it is absorbed altogether."""

    fraction: Tensor
    full: Tensor


class FirstLetters(NamedTuple):
    """Mean absorption per letter whose probe is good enough (`letter`): shares, and share of full ones."""

    fraction: Tensor
    full: Tensor


def absorption(x: Tensor, codes: Tensor, decoder: Tensor, probe: Tensor, main: Tensor) -> Absorption:
    """How much of each activation's component along a probe other latents than `main` carry.

    `x`: `row d`; `codes`: `row latent`; `decoder`: `latent d`, rows of any length; `probe`: `d`; `main`:
    indices of the latents that stand for the probe's concept. Rows should be those on the probe's positive
    side.
    """
    direction = probe.double() / probe.double().norm()
    along = decoder.double() @ direction
    cosine = along / decoder.double().norm(dim=1).clamp_min(1e-12)
    told = codes.double() * along
    whole = x.double() @ direction
    by_main = told[:, main].sum(dim=1)
    others = told.clone()
    others[:, main] = 0
    eligible = torch.where((cosine >= OTHER_COSINE) & (others > 0), others, 0.0)
    by_others = eligible.topk(min(OTHERS, eligible.shape[1]), dim=1).values.sum(dim=1)
    missing = torch.minimum(by_others, whole - by_main)
    fraction = (missing / (missing + by_main).clamp_min(1e-12)).clamp(0, 1)
    fraction = torch.where(by_main <= 0, 1.0, fraction)
    fraction = torch.where((by_main >= whole) | (by_others < SHARE * whole) | (whole <= 0), 0.0, fraction)
    top, which = others.max(dim=1)
    silent = (codes[:, main] < OFF).all(dim=1)
    full = silent & (cosine[which] >= TOP_COSINE) & (whole > 0) & (top >= SHARE * whole)
    return Absorption(fraction, full)


ABSORPTION = Metric(
    lambda seen: float(seen.fraction.mean()), "letters", "share of the first letter told by other latents", "down", 0, 1
)
FULL_ABSORPTION = Metric(
    lambda seen: float(seen.full.mean()), "letters", "share of words whose letter latents are all silent", "down", 0, 1
)
