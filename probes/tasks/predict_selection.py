"""Task of a selection map: predict the higher level's codes from the lower ones."""

from __future__ import annotations

from probes.autoencoders.losses import error_by_latent
from probes.hierarchy.selection_map import GatedMap, Selected
from probes.training.objective import Batch, Part, Terms


class PredictSelection(Part):
    """Squared error per target in units of its variance (DESIGN section 5, the β term).

    Codes enter without gradient on both sides: it trains gates, weights and thresholds alone.
    """

    on, reads = "selection_map", frozenset({"low", "high"})

    def loss(self, rep: GatedMap, seen: Selected, batch: Batch) -> Terms:
        return {"selection": error_by_latent(seen.target.detach(), seen.predicted, rep.target_variance)}
