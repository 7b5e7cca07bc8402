"""Task of a selection map: predict the higher level's codes from the lower ones."""

from __future__ import annotations

from probes.hierarchy.selection_map import GatedMap, Selected
from probes.training.objective import Batch, Part, Terms


def selection_error(seen: Selected, rep: GatedMap) -> Terms:
    """Mean over targets of ‖z − f(z_low)‖² / var(z): 1 is no better than the mean."""
    error = (seen.target - seen.predicted).square().mean(dim=0) / rep.target_variance
    return {"selection": error.mean()}


class PredictSelection(Part):
    """Squared error per target in units of its variance (DESIGN section 5, the β term)."""

    on, reads = "selection_map", frozenset({"low", "high"})

    def loss(self, rep: GatedMap, seen: Selected, batch: Batch) -> Terms:
        return selection_error(seen, rep)
