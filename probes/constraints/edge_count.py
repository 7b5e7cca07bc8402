"""Constraint: few edges. The expected number of open gates per target (hard-concrete L0)."""

from __future__ import annotations

from probes.hierarchy.selection_map import GatedMap, Selected, keep_rule
from probes.training.objective import Part, Terms


class EdgeCount(Part):
    """E‖G‖₀ / m: the γ term of the minimality objective. It sees gates, never activations."""

    on: str = "selection_map"
    given: frozenset[str] = frozenset()

    def penalty(self, rep: GatedMap, seen: Selected) -> Terms:
        return {"edges": seen.open.sum(dim=1).mean()}

    def certify(self, rep: GatedMap, seen: Selected) -> dict[str, float]:
        """Edges per target that the keep rule leaves, and gates that are still undecided."""
        undecided = (seen.open > 0.1) & (seen.open < 0.9)
        return {
            "edges_per_target": float(keep_rule(rep.weights()).sum(dim=1).float().mean()),
            "undecided": float(undecided.float().mean()),
        }
