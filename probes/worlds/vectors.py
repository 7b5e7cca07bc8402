"""A world of vectors: a few factors behind an invertible mixing, whose means and scales move with the domain."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from probes.refusals import Unfit
from probes.worlds.assumptions import card_of
from probes.worlds.dials import ProcessConfig
from probes.worlds.factors import FactorSample, Part
from probes.worlds.observing import fields_of, observe
from probes.worlds.process import Floats, Mechanism, Model, Noise, Process, modulations
from probes.worlds.world import Array, Flags, generators

CONDITION = 3.0  # of every matrix of the mixing: its largest stretch over its least
CHANCE = 0.3  # of each edge of a random graph, beside those that every factor needs


class VectorsConfig(ProcessConfig):
    """Factors, how they depend on each other, and how they are mixed."""

    kind: Literal["vectors"] = Field(default="vectors", description="Its world.")
    factors: int = Field(default=4, description="How many factors.", ge=1, le=64)
    d: int = Field(default=12, description="Dimensions of a row; as many as factors at least.", ge=1, le=4096)
    layers: int = Field(default=3, description="Layers of the mixing; 0 makes it linear.", ge=0, le=8)
    slope: float = Field(
        default=0.3, description="Of each layer's leaky rectifier below zero; 1 makes it linear.", gt=0.05, le=1
    )
    noise: float = Field(default=0.01, description="Standard deviation of the noise per dimension of x.", ge=0)
    sources: Noise = Field(default="gaussian", description="What the noise behind each factor is drawn from.")
    dependence: Literal["none", "chain", "random"] = Field(
        default="none", description="Which factors cause which: none another, each the next, or a random graph."
    )
    mechanisms: Literal["linear", "nonlinear"] = Field(
        default="nonlinear", description="What effects make of their causes."
    )

    @model_validator(mode="after")
    def _fits(self) -> VectorsConfig:
        if self.d < self.factors:
            raise Unfit("d", f"{self.factors} factors need as many dimensions: raise d, or ask for fewer factors")
        self.check(self.names)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"z{at + 1}" for at in range(self.factors))


class Vectors:
    """The world itself. Its mixing, graph and domains follow from its seed."""

    Config = Options = VectorsConfig
    words: tuple[str, ...] = ()

    def __init__(self, config: VectorsConfig, seed: int) -> None:
        self.config = config
        self.process = Process(_model(config, seed), config, seed)
        self.names, self.edges = config.names, self.process.model.edges
        self.shape, self.fields = (config.d,), fields_of(config)
        self.domains = self.trained_domains = config.domains
        self.moved, self.asked = self.process.moved, tuple(config.answers(self.names))
        self.mixing = Mixing(config, generators(seed, "mixing"))
        self.card = card_of(
            self.process,
            injective="Yes: every layer can be undone, and the last step keeps all distances.",
            sparse="No: every factor reaches nearly every dimension of x.",
        )

    def draw(self, rows: int, seed: int, part: Part = "train") -> FactorSample:
        return observe(self.process, rows, seed, self._see, self._see)

    def render(self, factors: Array) -> Array:
        return self.mixing(np.asarray(factors, dtype=np.float64)).astype(np.float32)

    def _see(self, factors: Floats, random: np.random.Generator) -> Array:
        mixed = self.mixing(factors)
        return (mixed + self.config.noise * random.normal(size=mixed.shape)).astype(np.float32)


class Mixing:
    """Factors `row factor` to `row d`: square layers, each a matrix and a leaky rectifier, then an isometry to d."""

    def __init__(self, config: VectorsConfig, random: np.random.Generator) -> None:
        self.slope = config.slope
        self.layers = [square(random, config.factors) for _ in range(config.layers)]
        self.lift = _orthonormal(random, config.d)[: config.factors]

    def __call__(self, factors: Floats) -> Floats:
        gain = (2 / (1 + self.slope**2)) ** 0.5  # what the rectifier takes from a centred column
        for layer in self.layers:
            mixed = factors @ layer
            factors = gain * np.where(mixed > 0, mixed, self.slope * mixed)
        return factors @ self.lift


def square(random: np.random.Generator, n: int) -> Floats:
    """A random matrix `n n` between two rotations, conditioned as `CONDITION` says and of mean square stretch 1."""
    stretch = CONDITION ** random.uniform(-0.5, 0.5, size=n)
    stretch /= np.sqrt(np.mean(stretch**2))
    return np.asarray(_orthonormal(random, n) * stretch @ _orthonormal(random, n))


def _orthonormal(random: np.random.Generator, n: int) -> Floats:
    return np.asarray(np.linalg.qr(random.normal(size=(n, n)))[0])


def _model(config: VectorsConfig, seed: int) -> Model:
    n, random = config.factors, generators(seed, "mechanisms")
    edges = _graph(config.dependence, n, random)
    weights = edges * random.uniform(0.6, 1.2, (n, n)) * random.choice([-1, 1], (n, n))
    weights /= np.sqrt(edges.sum(axis=0).clip(min=1))
    shifts = random.normal(size=(n, n))
    mechanisms: dict[int, Mechanism] = {}
    for at in np.flatnonzero(edges.any(axis=0)).tolist():
        linear = config.mechanisms == "linear"
        mechanisms[at] = partial(_linear if linear else _nonlinear, weights[:, at], shifts[:, at])
    domains = generators(seed, "domains")
    return Model(
        names=config.names,
        edges=edges,
        mechanisms=mechanisms,
        spread=np.ones(n),
        means=config.domain_means * modulations(domains, config.domains, n),
        scales=np.exp(config.domain_scales * modulations(domains, config.domains, n)),
        pushes=generators(seed, "pushes").choice([-2.0, 2.0], n),
        corners=({0: 1, 1: 1}, {0: -1, 1: -1}) if n > 1 else (),
        noise=config.sources,
    )


def _graph(dependence: str, n: int, random: np.random.Generator) -> Flags:
    """`cause effect`, causes first; in a random graph all but the first factor have one."""
    if dependence == "chain":
        return np.eye(n, k=1, dtype=np.bool_)
    edges = np.zeros((n, n), dtype=np.bool_)
    if dependence == "random":
        edges |= np.triu(random.random((n, n)) < CHANCE, k=1)
        for at in range(1, n):
            edges[random.integers(at), at] = True
    return edges


def _linear(weights: Floats, shifts: Floats, factors: Floats) -> Floats:
    return factors @ weights


def _nonlinear(weights: Floats, shifts: Floats, factors: Floats) -> Floats:
    """A bend at a place of its own for each cause."""
    return np.tanh(2 * factors + shifts) @ weights
