"""What a world is: concepts with directions, rows drawn from them, and the truth as plain arrays.

Training sees rows alone. The truth (which concepts were on, how strongly, which is a part of which) stays
in numpy arrays beside them, which no batch ever holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from probes.subjects.module import ModuleSubject

Array = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class View:
    """One vector a row is seen as. `directions`: `concept d`, unit rows, the truth a dictionary looks for.

    `members`: `concept concept` bool, true at (whole, part) where both lie in this very view.
    """

    name: str
    directions: Array
    members: Flags

    @property
    def n(self) -> int:
        """Number of concepts."""
        return len(self.directions)


class Sample(NamedTuple):
    """Rows of a world: per view `x` `row d`, and the truth behind it, `codes` `row concept` (0 where off).

    `inputs`: `row ...`, what the world's subject is fed with to make them.
    """

    x: tuple[Array, ...]
    codes: tuple[Array, ...]
    inputs: Array


class World(Protocol):
    """Views, lowest first, and rows drawn from them. Two draws of different seeds are independent."""

    views: tuple[View, ...]
    parts: tuple[Flags, ...]  # per pair of neighbouring views: `high low`, true where low is a part of high

    def draw(self, rows: int, seed: int) -> Sample: ...

    def subject(self) -> ModuleSubject:
        """A frozen module that makes every view from a sample's inputs, each from the one it computed before."""
        ...


def directions(random: np.random.Generator, n: int, d: int) -> Array:
    """Random unit rows `n d`; orthogonal ones where there is room."""
    rows = random.normal(size=(max(n, d), d))
    if n <= d:
        rows = np.linalg.qr(rows[:d].T)[0]
    return np.asarray(rows[:n] / np.linalg.norm(rows[:n], axis=1, keepdims=True), dtype=np.float32)


def no_members(n: int) -> Flags:
    return np.zeros((n, n), dtype=np.bool_)


def generators(seed: int, stream: str) -> np.random.Generator:
    """Random numbers that are a function of a seed and of what they are for."""
    return np.random.default_rng([seed, *stream.encode()])
