"""Proposal by ridge regression: what each candidate adds to the target beside the others."""

from __future__ import annotations

import numpy as np

from concept_graphs.edges.local import Local, explained, local_problems, proposed_by
from concept_graphs.edges.proposal import Attribution, Proposed
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.fit_maps import MapConfig
from probes.hierarchy.selection_map import SelectionMap


class RidgeProposal:
    """Standardised coefficients of the target on its candidates; `share` of the rows' number is the penalty."""

    needs_map = False
    needs_subject = False

    def __init__(self, config: MapConfig | None = None, share: float = 1e-3) -> None:
        self.config, self.share = config or MapConfig(), share

    def propose(
        self,
        codes: PairedCodes,
        found: SelectionMap | None = None,
        *,
        r2_floor: float = 0.05,
        attribute: Attribution | None = None,
    ) -> Proposed:
        def solve(problem: Local) -> np.ndarray:
            weight = self.weights(problem)
            return weight if explained(problem, weight) > r2_floor else np.zeros_like(weight)

        return proposed_by(codes, local_problems(codes, self.config), solve)

    def weights(self, problem: Local) -> np.ndarray:
        """Coefficients `candidate` on standardised columns, of either sign."""
        penalty = self.share * np.eye(len(problem.source))
        return np.asarray(np.linalg.solve(problem.among + penalty, problem.with_target))
