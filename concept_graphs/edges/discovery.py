"""Proposals by causal discovery: PC and GRaSP of causal-learn, on one target and its few best candidates at a time.

Only edges to the target are taken, and their direction is that of the levels. Both are too slow for all targets of a
wide dictionary: the most promising are taken.
"""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np

from concept_graphs.edges.local import Local, dense_rows, local_problems, proposed_by, refitted
from concept_graphs.edges.proposal import Attribution, Proposed
from probes.errors import WorkbenchError
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.fit_maps import MapConfig
from probes.hierarchy.selection_map import SelectionMap


class PcProposal:
    """Candidates that no set of at most `order` others makes independent of the target, by Fisher's z."""

    needs_map = False
    needs_subject = False
    library = "causallearn"

    def __init__(
        self,
        config: MapConfig | None = None,
        *,
        candidates: int = 12,
        targets: int = 300,
        alpha: float = 0.01,
        order: int = 2,
        seed: int = 0,
    ) -> None:
        self.config = (config or MapConfig()).model_copy(update={"candidates": candidates})
        self.targets, self.alpha, self.order, self.seed = targets, alpha, order, seed

    def propose(
        self,
        codes: PairedCodes,
        found: SelectionMap | None = None,
        *,
        r2_floor: float = 0.05,
        attribute: Attribution | None = None,
    ) -> Proposed:
        discover = of_library("causallearn.search.ConstraintBased.PC", "pc")

        def graph(rows: np.ndarray) -> np.ndarray:
            return discover(rows, self.alpha, "fisherz", max_k=self.order, show_progress=False).G.graph

        return _discovered(codes, local_problems(codes, self.config, self.targets), graph, self.seed)


class GraspProposal:
    """Neighbours of the target in the sparsest graph that permutations of the columns lead to (GRaSP, BIC)."""

    needs_map = False
    needs_subject = False
    library = "causallearn"

    def __init__(
        self, config: MapConfig | None = None, *, candidates: int = 10, targets: int = 300, seed: int = 0
    ) -> None:
        self.config = (config or MapConfig()).model_copy(update={"candidates": candidates})
        self.targets, self.seed = targets, seed

    def propose(
        self,
        codes: PairedCodes,
        found: SelectionMap | None = None,
        *,
        r2_floor: float = 0.05,
        attribute: Attribution | None = None,
    ) -> Proposed:
        discover = of_library("causallearn.search.PermutationBased.GRaSP", "grasp")

        def graph(rows: np.ndarray) -> np.ndarray:
            return discover(rows, verbose=False).graph

        return _discovered(codes, local_problems(codes, self.config, self.targets), graph, self.seed)


def _discovered(
    codes: PairedCodes, problems: Iterator[Local], graph: Callable[[np.ndarray], np.ndarray], seed: int
) -> Proposed:
    """Edges of `graph(row column)`, a matrix of end marks (0 for none), between the target and its candidates."""

    def solve(problem: Local) -> np.ndarray:
        with quiet(seed + problem.target):
            marks = graph(dense_rows(codes, problem, seed))
        return refitted(problem, np.flatnonzero(marks[-1, :-1]).tolist())

    return proposed_by(codes, problems, solve)


def of_library(module: str, name: str) -> Any:
    try:
        with quiet(0):
            return getattr(import_module(module), name)
    except ImportError:
        raise WorkbenchError(
            "library-missing",
            "Edges cannot be proposed by causal discovery",
            "causal-learn is not installed",
            "pip install fulcrum-workbench[graphs], or choose another proposal.",
        ) from None


@contextlib.contextmanager
def quiet(seed: int) -> Iterator[None]:
    """The library prints as it goes and draws from Python's own random numbers: neither leaves this block."""
    before = random.getstate()
    random.seed(seed)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        random.setstate(before)
