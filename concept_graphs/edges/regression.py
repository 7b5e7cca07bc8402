"""What proposals by regression share: weights per target, kept where they predict it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from concept_graphs.edges.local import Local, explained, local_problems, proposed_by
from concept_graphs.edges.proposal import Attribution, Proposed
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.fit_maps import MapConfig
from probes.hierarchy.selection_map import SelectionMap


class RegressionProposal(ABC):
    """Edges of positive weight to targets whose adjusted R² under their weights is above `r2_floor`."""

    needs_map = False
    needs_subject = False

    def __init__(self, config: MapConfig | None = None) -> None:
        self.config = config or MapConfig()

    @abstractmethod
    def weights(self, problem: Local) -> np.ndarray:
        """Weights `candidate`, in s.d. of the target per s.d. of the source."""

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
