"""Proposals by causal discovery: PC and GRaSP of causal-learn, on one target and its few best candidates at a time.

Only edges to the target are taken, and their direction is that of the levels. Both are too slow for all targets of a
wide dictionary: the most promising are taken.

RLCD of the same library (0.1.4.8), which looks for hidden causes behind columns, is not among them. On the true codes
of one world of 24, 10 and 4 concepts it had not ended on the 24 after nearly four minutes of a shared machine, at 2,000
rows. On the 10 it took a second, and of the four wholes it gave two their exact parts from 2,000 rows, one from 20,000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from concept_graphs.edges.library import of_library, quiet
from concept_graphs.edges.local import Local, dense_rows, local_problems, proposed_by, refitted
from concept_graphs.edges.proposal import Attribution, Proposed
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
