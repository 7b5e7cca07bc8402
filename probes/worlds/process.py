"""The process behind worlds of factors: a structural causal model, seen under domains, interventions and time.

A factor i is z_i = bound(v_i) with

    v_i = f_i(causes of i) + mean[u, i] + scale[u, i] · spread_i · noise_i

and, where rows have a past, v_i = c · v_i(before) + (1 − c) · (f_i + mean) + √(1 − c²) · scale · spread_i · noise_i,
so that a factor ranges about as far as without one. Causes act within the step, or one step later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes.errors import WorkbenchError
from probes.worlds.dials import ProcessConfig
from probes.worlds.world import Flags, generators

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mechanism = Callable[[Floats], Floats]  # all factors `row factor` to the part of one that its causes make, `row`
Noise = Literal["gaussian", "laplace", "uniform", "logistic"]
Rule = Callable[[Floats], Flags]  # factors `row factor` to whether they may be, `row`

UNTOUCHED = -1  # the target of a row without an intervention
CALMED = 0.5  # of a factor's noise, under an intervention
SETTLING = 16  # steps before the first that is seen
REFERENCE = 20_000  # rows that moments and ranges are read off
PLAIN = {"pairs": "none", "lag": 0, "interventions": 0.0, "combinations": "all"}  # how these are drawn
OUTER = 2 / 3  # a factor is high above this quantile, low below the opposite one
ROUNDS = 300  # of drawing rows again that a rule forbids
AT_ONCE = 2048  # such rows: where few are left, each is tried several times in a round


@dataclass(frozen=True)
class Model:
    """The known truth. Factors come in an order in which no cause follows its effect."""

    names: tuple[str, ...]
    edges: Flags  # `cause effect`
    mechanisms: Mapping[int, Mechanism]  # of the factors with causes
    spread: Floats  # `factor`, of the noise
    means: Floats  # `domain factor`, one row at least
    scales: Floats  # `domain factor`
    pushes: Floats  # `factor`, how far an intervention moves v
    corners: tuple[Mapping[int, int], ...]  # held-out combinations: factor to 1 where it is high, -1 where low
    noise: Noise = "gaussian"
    bounded: bool = False  # whether factors are tanh(v), else v

    def bound(self, v: Floats) -> Floats:
        return np.tanh(v) if self.bounded else v


class Conditions(NamedTuple):
    """What rows are drawn under. `domain`, `target`: `row`; `changed`: `row factor`, drawn again for the second."""

    domain: Indices
    target: Indices
    changed: Flags

    def at(self, rows: Indices) -> Conditions:
        return Conditions(self.domain[rows], self.target[rows], self.changed[rows])


class Drawn(NamedTuple):
    """`factors` `row view factor`: the past, the latest last, then the present, then a second view if there is one."""

    factors: Floats
    conditions: Conditions


class Process:
    """Draws of the factors, a function of the world's seed and of the draw's."""

    def __init__(self, model: Model, config: ProcessConfig, seed: int, rule: Rule | None = None) -> None:
        if np.tril(model.edges).any():
            raise ValueError("a cause follows its effect")
        self.model, self.config, self.seed, self.rule = model, config, seed, rule

    def draw(self, rows: int, seed: int) -> Drawn:
        """Rows under their conditions; where a rule forbids a view, all but the conditions are drawn again."""
        random = generators(seed, f"factors of world {self.seed}")
        return self._allowed(self._conditions(rows, random), random, self._may_be)

    @property
    def moved(self) -> Flags | None:
        """Which factors differ between domains, `factor`: by their own mechanism, or because a cause does. None under a
        rule, which may couple anything."""
        if self.rule is not None:
            return None
        model = self.model
        found = np.ptp(model.means, axis=0) + np.ptp(model.scales, axis=0) > 0
        for at in range(len(found)):  # causes come first
            found[at] |= found[model.edges[:, at]].any()
        return np.asarray(found)

    @cached_property
    def reference(self) -> Floats:
        """Many rows `row factor`, drawn one by one and none held out: worlds that differ in what rows are told, paired,
        split or preceded by alone share what is read off them."""
        plain = self.config.model_copy(update=PLAIN)
        process, random = Process(self.model, plain, self.seed, self.rule), generators(self.seed, "reference")
        drawn = process._allowed(process._conditions(REFERENCE, random), random, process._obeys)
        return np.asarray(drawn.factors[:, 0])

    @cached_property
    def outer(self) -> tuple[Floats, Floats]:
        """Below the first of these a factor is low, above the second high, each `factor`."""
        low, high = np.quantile(self.reference, [1 - OUTER, OUTER], axis=0)
        return low, high

    def held_out(self, factors: Floats) -> Flags:
        """Whether factors `… factor` are of one of the combinations that training may not see, `…`."""
        low, high = self.outer
        inside = np.zeros(factors.shape[:-1], dtype=np.bool_)
        for corner in self.model.corners:
            sides = [factors[..., at] > high[at] if up > 0 else factors[..., at] < low[at] for at, up in corner.items()]
            inside |= np.all(sides, axis=0)
        return inside

    def _may_be(self, factors: Floats) -> Flags:
        """`row`, of `row view factor`."""
        allowed = self._obeys(factors)
        if self.config.combinations == "training":
            allowed &= ~self.held_out(factors).any(axis=1)
        elif self.config.combinations == "held_out":
            allowed &= self.held_out(factors[:, self.config.lag])
        return allowed

    def _obeys(self, factors: Floats) -> Flags:
        """The same without regard to what is held out. A past may be anything."""
        allowed = np.ones(len(factors), dtype=np.bool_)
        if self.rule is not None:
            for view in range(self.config.lag, factors.shape[1]):
                allowed &= self.rule(factors[:, view])
        return allowed

    def _conditions(self, rows: int, random: np.random.Generator) -> Conditions:
        n = len(self.model.names)
        domain = random.integers(len(self.model.means), size=rows)
        touched = random.random(rows) < self.config.interventions
        target = np.where(touched, random.integers(n, size=rows), UNTOUCHED)
        changed = np.zeros((rows, n), dtype=np.bool_)
        if self.config.pairs == "changed":
            rank = random.permuted(np.tile(np.arange(n), (rows, 1)), axis=1)
            changed = rank < random.integers(1, self.config.most_changed + 1, size=(rows, 1))
        return Conditions(domain, target, changed)

    def _allowed(self, conditions: Conditions, random: np.random.Generator, allowed: Rule) -> Drawn:
        factors = self._views(conditions, random)
        waiting = np.flatnonzero(~allowed(factors))
        for _ in range(ROUNDS):
            if not len(waiting):
                return Drawn(factors, conditions)
            trying = np.tile(waiting, 1 + AT_ONCE // len(waiting))
            tried = self._views(conditions.at(trying), random)
            passed = np.flatnonzero(allowed(tried))
            factors[trying[passed]] = tried[passed]
            waiting = np.setdiff1d(waiting, trying[passed])
        raise WorkbenchError(
            "bad-world",
            "Its rules let hardly any row of this world through",
            f"{len(waiting)} rows were drawn {ROUNDS} times and more in vain",
            "Ask for fewer changes, steps or domains, or for all combinations.",
        )

    def _views(self, conditions: Conditions, random: np.random.Generator) -> Floats:
        """`row view factor`, whatever the rules. Interventions touch the present alone."""
        config, shape = self.config, conditions.changed.shape
        untouched = conditions._replace(target=np.full_like(conditions.target, UNTOUCHED))
        before, seen = None, []
        for step in range(SETTLING + config.lag if config.lag else 0):
            before = self._step(self._noise(shape, random), untouched, before)
            if step >= SETTLING:
                seen.append(before)
        noise = self._noise(shape, random)
        seen.append(self._step(noise, conditions, before))
        if config.pairs == "changed":
            noise = np.where(conditions.changed, self._noise(shape, random), noise)
            seen.append(self._step(noise, conditions, before))
        elif config.pairs == "augmented":
            seen.append(seen[-1])
        return self.model.bound(np.stack(seen, axis=1))

    def _step(self, noise: Floats, conditions: Conditions, before: Floats | None) -> Floats:
        """v `row factor`, from the v one step before, if there was one."""
        v, z = np.zeros_like(noise), np.zeros_like(noise)
        causes = z if before is None or self.config.instantaneous else self.model.bound(before)
        for at in range(noise.shape[1]):
            carried = None if before is None else before[:, at]
            v[:, at] = self._factor(at, causes, noise[:, at], conditions, carried)
            z[:, at] = self.model.bound(v[:, at])
        return v

    def _factor(self, at: int, causes: Floats, noise: Floats, conditions: Conditions, before: Floats | None) -> Floats:
        """v of one factor, `row`, as the head of this file says, or as its intervention makes it."""
        model, kept = self.model, self.config.carried
        drift, scale = model.means[conditions.domain, at], model.scales[conditions.domain, at]
        if at in model.mechanisms:
            drift = drift + model.mechanisms[at](causes)
        if before is not None:
            drift, scale = kept * before + (1 - kept) * drift, np.sqrt(1 - kept**2) * scale
        noise = model.spread[at] * noise
        if self.config.intervention == "perfect":
            moved = model.pushes[at] + CALMED * noise
        else:
            moved = model.pushes[at] + drift + CALMED * scale * noise
        return np.where(conditions.target == at, moved, drift + scale * noise)

    def _noise(self, shape: tuple[int, ...], random: np.random.Generator) -> Floats:
        """Of mean zero and variance one."""
        if self.model.noise == "laplace":
            return random.laplace(scale=0.5**0.5, size=shape)
        if self.model.noise == "logistic":
            return random.logistic(scale=3**0.5 / np.pi, size=shape)
        if self.model.noise == "uniform":
            return random.uniform(-(3**0.5), 3**0.5, size=shape)
        return random.normal(size=shape)


def modulations(random: np.random.Generator, domains: int, n: int) -> Floats:
    """`domain factor`, each factor of mean zero and variance one over the domains; zeros where there is but one."""
    if domains < 2:
        return np.zeros((1, n))
    drawn = random.normal(size=(domains, n))
    drawn -= drawn.mean(axis=0)
    return np.asarray(drawn / drawn.std(axis=0))
