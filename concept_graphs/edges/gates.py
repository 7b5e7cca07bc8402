"""Proposal by selection map: the edges whose gates stayed open, with their bootstrap frequency."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from concept_graphs.edges.proposal import Attribution, Proposed, predicted_effect
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.correlation import Correlations
from probes.hierarchy.fit_maps import MapConfig, refit_kept
from probes.hierarchy.selection_map import SelectionMap


class GateProposal:
    """Edges of a fitted map whose target is predictable (held-out R² above `r2_floor`)."""

    needs_map = True
    needs_subject = False

    def propose(
        self,
        codes: PairedCodes,
        found: SelectionMap | None = None,
        *,
        r2_floor: float = 0.05,
        attribute: Attribution | None = None,
    ) -> Proposed:
        if found is None:
            raise ValueError("gates are proposed from a fitted selection map")
        good = found.r2[found.target] > r2_floor
        source, target = found.source[good].numpy(), found.target[good].numpy()
        r = found.correlation[good].numpy()
        score = predicted_effect(codes, source, target, r)
        order = np.argsort(-score)
        return Proposed(
            source[order],
            target[order],
            score[order],
            found.weight[good].numpy()[order],
            r[order],
            found.frequency[good].numpy()[order],
        )


def with_bootstrap(proposed: Proposed, codes: PairedCodes, config: MapConfig, *, fits: int, seed: int) -> Proposed:
    """The share of refits on resampled chunks that keep each edge; only the targets at stake are refitted."""
    targets = np.unique(proposed.target)
    correlations = Correlations(codes)
    kept = np.zeros(len(proposed))
    for fit in range(fits):
        again = refit_kept(_resampled(codes, seed + fit), targets, correlations, config, seed + fit)
        kept += np.array([(s, t) in again for s, t in zip(proposed.source, proposed.target, strict=True)])
    return replace(proposed, frequency=kept / max(fits, 1))


def _resampled(codes: PairedCodes, seed: int) -> PairedCodes:
    """Chunks drawn with replacement, all rows of a chunk together."""
    random = np.random.default_rng(seed)
    order = np.argsort(codes.chunk, kind="stable")
    chunks, starts, counts = np.unique(codes.chunk[order], return_index=True, return_counts=True)
    drawn = random.integers(len(chunks), size=len(chunks))
    rows = np.concatenate([order[starts[c] : starts[c] + counts[c]] for c in drawn])
    return PairedCodes(codes.low[rows], codes.high[rows], codes.chunk[rows])
