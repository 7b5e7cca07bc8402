"""The ways to look for a graph among latents: what each judges by, among how many, and how long it may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from concept_graphs.edges.library import of_library, quiet
from probes.registry import Registry

Floats = NDArray[np.float64]
Ends = NDArray[np.int64]  # `column column`: the end mark at the first, of causal-learn: a tail −1, an arrowhead 1

ALPHA = 0.01
SMALL = 8  # latents among which the slower test is the default
AUTO = "auto"

METHODS = Registry(
    "discovery among latents",
    {
        AUTO: (
            "concept_graphs.latent_methods:RCIT",
            f"PC with RCIT among at most {SMALL} latents; among more, where it takes minutes, PC with Fisher's z.",
        ),
        "rcit": (
            "concept_graphs.latent_methods:RCIT",
            "PC that tests by random features (RCIT), which see bent dependence too; seconds to minutes.",
        ),
        "pc": ("concept_graphs.latent_methods:FISHER", "PC that tests linear dependence, by Fisher's z; seconds."),
        "grasp": ("concept_graphs.latent_methods:GRASP", "The sparsest graph by linear BIC (GRaSP); seconds."),
    },
)


@dataclass(frozen=True)
class Discovery:
    """`search`: columns to end marks. `rows`: that it reads at most; `rounds`: of resampled and of shuffled rows;
    `order`: of the largest set it conditions on; `judges`: a sentence."""

    called: str
    judges: str
    search: Callable[[Floats], Ends]
    rows: int
    rounds: int
    order: int = 0
    test: str = ""  # that most of the time goes into; none where all is a matter of seconds

    def seconds(self, columns: Floats) -> float:
        """At most so long, about, for everything that is searched among `row column`; 0 where that is a few seconds.

        From one test of the largest set, timed here, times as many as there are if no pair is ever set apart.
        """
        size = columns.shape[1]
        largest = min(self.order, size - 2)
        if not self.test or largest < 0:
            return 0.0
        judge = of_library("causallearn.utils.cit", "CIT")(columns[: self.rows], self.test)
        among = tuple(range(2, 2 + largest))
        with quiet(0):
            judge(0, 1, among[:-1])  # the first has libraries to set up
            began = time.perf_counter()
            judge(0, 1, among)
            each = time.perf_counter() - began
        tests = comb(size, 2) * sum(comb(size - 2, order) for order in range(largest + 1))
        return tests * each * (self.rounds + 2)  # the rows as they are, resampled, and the factors


def method_among(name: str, latents: int) -> str:
    """The method that a name means among so many latents."""
    if name == AUTO:
        return "rcit" if latents <= SMALL else "pc"
    return name


def method_called(name: str) -> str:
    """A method in words."""
    found: Discovery = METHODS.load(name)
    return found.called


def _pc(test: str, order: int) -> Callable[[Floats], Ends]:
    def search(columns: Floats) -> Ends:
        pc = of_library("causallearn.search.ConstraintBased.PC", "pc")
        found: Any = pc(columns, ALPHA, test, max_k=order, show_progress=False).G.graph
        return np.asarray(found, dtype=np.int64)

    return search


def _grasp(columns: Floats) -> Ends:
    search = of_library("causallearn.search.PermutationBased.GRaSP", "grasp")
    return np.asarray(search(columns, verbose=False).graph, dtype=np.int64)


LINEAR = "It judges by linear dependence: what is bent can be missed."
FISHER = Discovery("PC", LINEAR, _pc("fisherz", 3), rows=2000, rounds=8, order=3)
GRASP = Discovery("GRaSP", LINEAR, _grasp, rows=2000, rounds=8)
# On the factors of the Ball Room F1 is .89 at 2,000 rows and .92 at 5,000, and sets of three change nothing.
RCIT = Discovery(
    "PC with RCIT",
    "It judges by random features, which see bent dependence; where two causes act by their product it can miss one.",
    _pc("rcit", 2),
    rows=5000,
    rounds=4,
    order=2,
    test="rcit",
)
