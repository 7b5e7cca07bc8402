"""Proposal by ridge regression: what each candidate adds to the target beside the others."""

from __future__ import annotations

import numpy as np

from concept_graphs.edges.local import Local
from concept_graphs.edges.regression import RegressionProposal
from probes.hierarchy.fit_maps import MapConfig


class RidgeProposal(RegressionProposal):
    """Standardised coefficients of the target on its candidates; `share` of the rows' number is the penalty."""

    def __init__(self, config: MapConfig | None = None, share: float = 1e-3) -> None:
        super().__init__(config)
        self.share = share

    def weights(self, problem: Local) -> np.ndarray:
        """Coefficients `candidate` on standardised columns, of either sign."""
        penalty = self.share * np.eye(len(problem.source))
        return np.asarray(np.linalg.solve(problem.among + penalty, problem.with_target))
