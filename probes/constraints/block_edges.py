"""Constraint: few edges between the levels inside a dictionary."""

from __future__ import annotations

import torch

from probes.autoencoders.encoded import Encoded
from probes.autoencoders.hierarchical import HierarchicalAutoencoder
from probes.training.objective import Part, Terms


class BlockEdges(Part):
    """E‖G‖₀ / n_high, averaged over the maps (the γ term). It sees gates, never activations."""

    on: str = "hierarchical"
    given: frozenset[str] = frozenset()

    def penalty(self, rep: HierarchicalAutoencoder, seen: Encoded) -> Terms:
        return {"edges": torch.stack([block.open.sum(dim=0).mean() for block in seen.blocks]).mean()}

    def certify(self, rep: HierarchicalAutoencoder, seen: Encoded) -> dict[str, float]:
        """Edges per higher latent with a gate that is open after training, and gates still undecided."""
        kept = [float((inner.weights > 0).sum(dim=0).float().mean()) for inner in rep.inner_maps()]
        undecided = [float(((block.open > 0.1) & (block.open < 0.9)).float().mean()) for block in seen.blocks]
        return {"edges_per_target": sum(kept) / len(kept), "undecided": sum(undecided) / len(undecided)}
