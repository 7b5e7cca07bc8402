"""Proposal by gradient attribution: what each candidate's code contributes to the target, to first order."""

from __future__ import annotations

import numpy as np

from concept_graphs.edges.local import local_problems
from concept_graphs.edges.proposal import Attribution, Proposed
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.fit_maps import MapConfig
from probes.hierarchy.selection_map import SelectionMap


class GradientProposal:
    """Candidates by |gradient of the target's pre-activation along their contribution|, in s.d. of the target.

    The one proposal that asks the subject: a backward pass per target, so the most promising targets are taken.
    """

    needs_map = False
    needs_subject = True

    def __init__(self, config: MapConfig | None = None, *, targets: int = 100) -> None:
        self.config, self.targets = config or MapConfig(), targets

    def propose(
        self,
        codes: PairedCodes,
        found: SelectionMap | None = None,
        *,
        r2_floor: float = 0.05,
        attribute: Attribution | None = None,
    ) -> Proposed:
        if attribute is None:
            raise ValueError("gradients are taken through a subject")
        problems = list(local_problems(codes, self.config, self.targets))
        target, source = np.array([one.target for one in problems]), np.stack([one.source for one in problems])
        mean = np.asarray(codes.high.mean(axis=0)).ravel()[target]
        square = np.asarray(codes.high.multiply(codes.high).mean(axis=0)).ravel()[target]
        deviation = np.sqrt(np.maximum(square - mean**2, 1e-12))
        weight = (attribute(target, source) / deviation[:, None]).ravel()
        r = np.stack([one.with_target for one in problems]).ravel()
        order = np.argsort(-np.abs(weight), kind="stable")
        order = order[weight[order] != 0]
        ends = source.ravel()[order], np.repeat(target, source.shape[1])[order]
        return Proposed(*ends, np.abs(weight)[order], weight[order], r[order], np.ones(len(order)))
