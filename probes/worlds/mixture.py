"""One level of independent concepts: the least a dictionary must recover."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from probes.configs import Frozen
from probes.subjects.module import ModuleSubject
from probes.worlds.decoding import decoding_subject
from probes.worlds.world import Array, Flags, Sample, View, directions, generators, no_members


class MixtureConfig(Frozen):
    """Independent concepts, each on with one probability, its strength log-normal."""

    concepts: int = Field(default=32, description="How many concepts.", ge=2, le=100_000)
    d_model: int = Field(
        default=32, description="Dimensions; fewer than concepts puts them on top of each other.", ge=2
    )
    active: float = Field(default=3.0, description="Concepts on in a row, on average.", gt=0)
    spread: float = Field(default=0.35, description="Standard deviation of the logarithm of a strength.", ge=0)
    noise: float = Field(default=0.02, description="Standard deviation of the noise per dimension.", ge=0)


class Mixture:
    """The world itself. Its directions follow from the seed it was made with."""

    Config = MixtureConfig

    def __init__(self, config: MixtureConfig, seed: int) -> None:
        self.config = config
        rows = directions(generators(seed, "directions"), config.concepts, config.d_model)
        self.views = (View("view", rows, no_members(config.concepts)),)
        self.parts: tuple[Flags, ...] = ()

    def draw(self, rows: int, seed: int) -> Sample:
        """`rows` rows; noise is part of what is seen and of no concept."""
        random = generators(seed, "rows")
        on = random.random((rows, self.config.concepts)) < self.config.active / self.config.concepts
        codes = np.asarray(on * random.lognormal(0, self.config.spread, on.shape), dtype=np.float32)
        return Sample((noisy(codes @ self.views[0].directions, self.config.noise, random),), (codes,), codes)

    def subject(self) -> ModuleSubject:
        return decoding_subject("mixture", self.views[0])


def noisy(x: Array, noise: float, random: np.random.Generator) -> Array:
    return np.asarray(x + noise * random.normal(size=x.shape), dtype=np.float32)
