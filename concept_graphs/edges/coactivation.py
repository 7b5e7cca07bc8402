"""Proposal by co-activation: pairs whose codes correlate, ranked by the effect a regression predicts."""

from __future__ import annotations

import numpy as np

from concept_graphs.edges.proposal import Attribution, Proposed, predicted_effect
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.fit_maps import MapConfig, candidates_of
from probes.hierarchy.selection_map import SelectionMap


class CoactivationProposal:
    """The best correlated sources of every eligible target."""

    needs_map = False
    needs_subject = False

    def __init__(self, config: MapConfig | None = None, minimum: float = 0.1) -> None:
        self.config, self.minimum = config or MapConfig(), minimum

    def propose(
        self,
        codes: PairedCodes,
        found: SelectionMap | None = None,
        *,
        r2_floor: float = 0.05,
        attribute: Attribution | None = None,
    ) -> Proposed:
        targets, candidates, correlations = candidates_of(codes, self.config)
        source, target = candidates.ravel(), np.repeat(targets, candidates.shape[1])
        r = correlations.of_pairs(source, target)
        kept = r > self.minimum
        source, target, r = source[kept], target[kept], r[kept]
        score = predicted_effect(codes, source, target, r)
        order = np.argsort(-score)
        ones = np.ones(len(order))
        return Proposed(source[order], target[order], score[order], r[order], r[order], ones)
