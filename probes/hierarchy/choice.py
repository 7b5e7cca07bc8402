"""Choosing how a dictionary is trained, by rows that it was neither trained on nor will be scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.fitting import DictionaryConfig, finished
from probes.hooks import HookPoint
from probes.metrics.moments import Moments

SLACK = 1.1  # how many times k may be active in a candidate that is still comparable


C = TypeVar("C", bound=DictionaryConfig)


@dataclass(frozen=True)
class Tried(Generic[C]):
    """A candidate with what its (perhaps short) training came to on calibration rows."""

    config: C
    explained_variance: float
    l0: float


def tried(config: C, trained: TrainableAutoencoder, sample: Tensor, point: HookPoint) -> Tried[C]:
    """Judge a candidate on calibration rows `row d`: thresholds from one half, figures from the other."""
    half = len(sample) // 2
    space = finished(trained, config, sample[:half], point, "candidate")
    rows = sample[half:]
    codes = space.encode(rows)
    moments = Moments(rows.double().mean(dim=0), space.n_latents)
    moments.add(rows, space.reconstruct(rows, codes), codes.index, codes.value)
    figures = moments.figures()
    return Tried(config, figures["explained_variance"], figures["l0"])


def best(candidates: Sequence[Tried[C]], k: float) -> Tried[C]:
    """The best reconstruction among candidates with no more than about k active latents; where all have more,
    the sparsest. The same rule for every architecture: a denser code would always rebuild better."""
    fair = [one for one in candidates if one.l0 <= SLACK * k]
    return max(fair, key=lambda one: one.explained_variance) if fair else min(candidates, key=lambda one: one.l0)
