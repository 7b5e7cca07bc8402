"""Worlds of factors: rows that a few known factors make, for the grid of tasks and constraints.

Training sees `fields` alone, each an observation (what a task may read) or a condition (what a constraint may be
told). The factors themselves stay beside them in numpy, which no batch ever holds; the one exception is `answers`, the
target of a supervised task, and its card says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

from numpy.typing import NDArray

from probes.worlds.world import Array, Flags

OBSERVATIONS: Mapping[str, str] = {
    "x": "What is seen, `row d` or `row 3 height width`; pictures as bytes.",
    "second": "The other view of the same row, shaped like x.",
    "past": "What was seen before x, `row lag …`, the latest last.",
    "answers": "Standardised factors that a supervised task is asked for, `row answer`.",
    "caption": "Places of words in the world's `words`, `row word`; 0 fills up.",
}
CONDITIONS: Mapping[str, str] = {
    "domain": "Which domain a row is of, `row`.",
    "changed": "Which factors were drawn again between x and its second view, `row factor`.",
    "target": "Which factor was intervened on, `row`; -1 for none.",
}
Part = Literal["train", "test"]


class FactorSample(NamedTuple):
    """Rows of a world: what training may see, by the names above, and the truth behind x, `factors` `row factor`."""

    fields: Mapping[str, NDArray[Any]]
    factors: Array


class FactorWorld(Protocol):
    """Known factors behind what is seen. Two draws of different seeds are independent draws of one world.

    A world of stored rows has only so many: draws of one part may share rows, draws of two parts never do. So whoever
    tests on rows that training must not have seen says which part, and a world that makes its rows may ignore it.
    """

    names: tuple[str, ...]  # of the factors
    edges: Flags  # `cause effect`: true where one factor enters the mechanism of another
    shape: tuple[int, ...]  # of one row of x
    fields: frozenset[str]  # what `draw` will hold
    domains: int  # how many numbers of a domain there may be; 0 where rows have none
    trained_domains: int  # how many of them the rows to train on are of
    moved: Flags | None  # `factor`: whose distribution differs between domains; None where that is not known
    asked: tuple[int, ...]  # factors in `answers`, in their order
    words: tuple[str, ...]  # of captions; the first fills up. Empty where there are none
    card: Mapping[str, str]  # assumption to how far this world, with these dials, meets it

    def draw(self, rows: int, seed: int, part: Part = "train") -> FactorSample: ...

    def render(self, factors: Array) -> NDArray[Any]:
        """What rows with these factors look like, without any noise: `row …` as x.

        Raises `WorkbenchError` where a world only has stored rows.
        """
        ...
