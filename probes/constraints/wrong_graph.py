"""Constraint, a control: as if the graph were known, but it is another: exactly the edges that the known one lacks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from probes.constraints.structural_prior import Mechanisms, StructuralPrior
from probes.representations.spec import Spec


class WrongGraph(StructuralPrior):
    """The structural prior on the complement of the known graph: what it costs to believe in wrong structure.

    Everything else is told rightly, the targets of interventions too, so the difference from `structural_prior` is the
    graph's alone. Where the known graph has no edge every latent may follow from all before it, and nothing is wrong.
    """

    key = "wrong_graph"
    told = "what was intervened on"

    def own(self, spec: Spec) -> nn.Module:
        return Mechanisms(complement(torch.from_numpy(spec.edges)).T.contiguous())

    def refuses(self, spec: Spec) -> str:
        if not spec.edges.any():
            return "without an edge no graph is wrong: set the world's dependence to chain or random"
        return super().refuses(spec)


def complement(edges: Tensor) -> Tensor:
    """The pairs that no edge joins, `cause effect`, each from the earlier to the later of the two by the depth of
    their causes, so that there is no cycle."""
    depth = torch.zeros(len(edges), dtype=torch.long)
    for _ in range(len(edges)):  # longest path from a root
        depth = torch.where(edges.any(dim=0), (depth[:, None] + 1).where(edges, 0).amax(dim=0), 0)
    place = depth.argsort(stable=True).argsort()
    return ~(edges | edges.T) & (place[:, None] < place)
