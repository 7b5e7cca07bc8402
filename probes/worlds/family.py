"""Wholes and their parts in one vector: the world in which a dictionary is tempted to absorb.

A whole that (almost) always comes with one of its named parts can be left to the parts' latents, one
latent fewer per row: the whole is then absorbed. Where wholes often come alone there is no such temptation,
and an order forced on the dictionary only costs.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from probes.configs import Frozen
from probes.subjects.module import ModuleSubject
from probes.worlds.decoding import decoding_subject
from probes.worlds.mixture import noisy
from probes.worlds.world import Flags, Sample, View, directions, generators


class FamilyConfig(Frozen):
    """Wholes with parts of their own; a part is on only where its whole is."""

    wholes: int = Field(default=12, description="How many wholes.", ge=1, le=1000)
    parts: int = Field(default=4, description="Named parts of each whole.", ge=1, le=100)
    d_model: int = Field(default=64, description="Dimensions.", ge=2)
    active: float = Field(default=2.0, description="Wholes on in a row, on average.", gt=0)
    alone: float = Field(description="How often a whole is on without any of its parts.", ge=0, le=1)
    second: float = Field(default=0.1, description="How often a second part is on beside the first.", ge=0, le=1)
    spread: float = Field(default=0.35, description="Standard deviation of the logarithm of a whole's strength.", ge=0)
    follows: float = Field(default=0.1, description="The same of a part's strength, given its whole's.", ge=0)
    noise: float = Field(default=0.02, description="Standard deviation of the noise per dimension.", ge=0)


class TreeConfig(FamilyConfig):
    """A whole almost never comes without one of its parts."""

    alone: float = Field(default=0.05, description="How often a whole is on without any of its parts.", ge=0, le=1)


class LooseConfig(FamilyConfig):
    """A whole mostly comes without its parts."""

    alone: float = Field(default=0.7, description="How often a whole is on without any of its parts.", ge=0, le=1)


class Families:
    """Concepts 0 … wholes−1 are wholes, then come the parts, whole by whole."""

    def __init__(self, config: FamilyConfig, seed: int) -> None:
        self.config = config
        wholes, n = config.wholes, config.wholes * (1 + config.parts)
        members = np.zeros((n, n), dtype=np.bool_)
        members[np.repeat(np.arange(wholes), config.parts), np.arange(wholes, n)] = True
        rows = directions(generators(seed, "directions"), n, config.d_model)
        self.views = (View("view", rows, members),)
        self.parts: tuple[Flags, ...] = ()

    def draw(self, rows: int, seed: int) -> Sample:
        """`rows` rows: wholes independently, then a first and perhaps a second part of each."""
        config, random = self.config, generators(seed, "rows")
        shape = (rows, config.wholes)
        on = random.random(shape) < config.active / config.wholes
        strength = on * random.lognormal(0, config.spread, shape)
        order = random.random((*shape, config.parts)).argsort(axis=-1)
        several = 1 + (random.random(shape) < config.second)
        count = np.where(random.random(shape) < config.alone, 0, several)
        chosen = (order < count[..., None]) * random.lognormal(0, config.follows, order.shape)
        codes = np.concatenate([strength, (strength[..., None] * chosen).reshape(rows, -1)], axis=1)
        codes = codes.astype(np.float32)
        return Sample((noisy(codes @ self.views[0].directions, config.noise, random),), (codes,), codes)

    def subject(self) -> ModuleSubject:
        return decoding_subject("families", self.views[0])


class Tree(Families):
    """The strict hierarchy."""

    Config = TreeConfig


class Loose(Families):
    """The loose one."""

    Config = LooseConfig
