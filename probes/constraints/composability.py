"""Constraint: higher codes are what their parts select."""

from __future__ import annotations

from probes.autoencoders.losses import error_by_latent
from probes.hierarchy.selection_map import GatedMap, Selected
from probes.training.objective import Part, Terms


class Composability(Part):
    """How far the higher codes are from what the map makes of the lower ones (DESIGN section 5, the β' term).

    What the map makes enters without gradient, so the pull reaches the encoder of the higher level and nothing
    else: the symmetric pull was measured to cost the lower level's concepts.
    """

    on: str = "selection_map"
    given: frozenset[str] = frozenset()
    holds = True

    def penalty(self, rep: GatedMap, seen: Selected) -> Terms:
        return {"composability": error_by_latent(seen.target, seen.predicted.detach(), rep.target_variance)}

    def certify(self, rep: GatedMap, seen: Selected) -> dict[str, float]:
        """Share of the higher codes' variance that the map explains, mean over targets."""
        error = error_by_latent(seen.target, seen.predicted, rep.target_variance)
        return {"composable": 1 - float(error.detach())}
