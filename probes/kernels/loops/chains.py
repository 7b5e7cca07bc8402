"""Markov chains over which lowest concepts are on: single flips, and rows drawn afresh. `probes.worlds.selection`
says which rows they draw."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from probes.kernels.loops.compiling import Array, loop

Random = Any  # numpy.random.Generator

IMPOSSIBLE = -1e9


class Wholes(NamedTuple):
    """Whole i is on when its parts, concepts parts[starts[i] : starts[i + 1]], exceed thresholds[i] together.
    Concepts are numbered from the lowest storey up; wholes from `top` are the highest ones, of which at most `most`
    may be on. `price` is what an orphan costs."""

    starts: Array
    parts: Array
    thresholds: Array
    top: int
    most: int
    price: float


class Proposals(NamedTuple):
    """Rows drawn afresh, `redraws` per sweep: a concept below the asked one (`below`, a list per highest concept, then
    their `sizes`) is on by a coin, any other with chance `rare`; `gain` is how much likelier the prior makes it that
    one is on than such a draw does, elsewhere (0) and below (1), against off."""

    redraws: int
    below: Array
    sizes: Array
    rare: float
    gain: Array


@loop
def _weigh(on: Array, strength: Array, wholes: Wholes, asked: int, value: Array, owned: Array) -> float:
    """log of what the selection makes of one row. `value` and `owned` are room for every concept."""
    low, count = len(on), len(wholes.thresholds)
    for i in range(low):
        value[i] = strength[i] if on[i] else np.float32(0)
    tops = 0
    for whole in range(count):
        excess = -wholes.thresholds[whole]
        for at in range(wholes.starts[whole], wholes.starts[whole + 1]):
            excess += value[wholes.parts[at]]
        value[low + whole] = max(excess, np.float32(0))
        tops += whole >= wholes.top and excess > 0
    if tops > wholes.most or not value[low + wholes.top + asked] > 0:
        return IMPOSSIBLE  # as most rows drawn afresh are
    owned[:] = False
    for whole in range(count):
        if value[low + whole] > 0:
            for at in range(wholes.starts[whole], wholes.starts[whole + 1]):
                owned[wholes.parts[at]] = True
    lonely = 0
    for i in range(low + wholes.top):
        lonely += value[i] > 0 and not owned[i]
    return -wholes.price * lonely


@loop
def _accepts(gain: float, random: Random) -> bool:
    """Metropolis: always what is likelier, and what is not as often as it is as likely."""
    return gain >= 0 or random.random() < np.exp(gain)


@loop
def _draw(on: Array, below: Array, rare: float, random: Random) -> None:
    """A row afresh. One number of the generator serves for 32 coins, and one for each concept that is on elsewhere."""
    on[:] = False
    step = np.log1p(-rare)
    at = int(np.log1p(-random.random()) / step)
    while at < len(on):
        on[at] = True
        at += 1 + int(np.log1p(-random.random()) / step)
    coins = 0
    for i in range(len(below)):
        if i % 32 == 0:
            coins = int(random.random() * 2.0**32)
        on[below[i]] = (coins >> (i % 32)) & 1


@loop
def _lean(on: Array, below: Array, gain: Array) -> float:
    """How much likelier the prior makes a row than `_draw` does, up to a constant."""
    lean = 0.0
    for i in range(len(on)):
        lean += gain[0] * on[i]
    for i in range(len(below)):
        lean += (gain[1] - gain[0]) * on[below[i]]
    return lean


@loop
def run(
    random: Random,
    asked: Array,
    strength: Array,
    wholes: Wholes,
    prior: float,
    proposals: Proposals,
    sweeps: int,
    on: Array,
    weight: Array,
) -> None:
    """Each row of `on`, `row low`, becomes where its chain ended, and `weight`, `row`, its weight there. `strength`
    is how strong a concept is where it is on, `row low`; `asked`, `row`, the highest concept it must have; `prior` the
    log odds of a concept."""
    rows, low = on.shape
    value = np.zeros(low + len(wholes.thresholds), dtype=np.float32)
    owned, drawn = np.zeros(len(value), dtype=np.bool_), np.zeros(low, dtype=np.bool_)
    for row in range(rows):
        state, below = on[row], proposals.below[asked[row], : proposals.sizes[asked[row]]]
        _draw(state, below, proposals.rare, random)
        held = _weigh(state, strength[row], wholes, asked[row], value, owned)
        for _ in range(sweeps):
            for _ in range(low):
                concept = int(random.random() * low)
                state[concept] = not state[concept]
                other = _weigh(state, strength[row], wholes, asked[row], value, owned)
                if _accepts(other - held + (prior if state[concept] else -prior), random):
                    held = other
                else:
                    state[concept] = not state[concept]
            lean = _lean(state, below, proposals.gain)
            for _ in range(proposals.redraws):
                _draw(drawn, below, proposals.rare, random)
                other = _weigh(drawn, strength[row], wholes, asked[row], value, owned)
                other_lean = _lean(drawn, below, proposals.gain)
                if _accepts(other + other_lean - held - lean, random):
                    state[:] = drawn
                    held, lean = other, other_lean
        weight[row] = held
