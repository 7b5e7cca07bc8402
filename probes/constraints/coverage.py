"""Constraint: a child that fires is covered by the parents it selects."""

from __future__ import annotations

import torch
from torch import Tensor

from probes.autoencoders.encoded import Block, Encoded
from probes.autoencoders.hierarchical import HierarchicalAutoencoder
from probes.autoencoders.losses import uncovered
from probes.training.objective import Part, Terms


class Coverage(Part):
    """How far higher pre-activations stay below what the lower codes select, over the higher codes' variance.

    What is selected enters without gradient, so the pull reaches the encoders of higher latents and nothing
    else: neither the lower codes nor the map may give way to it.
    """

    on: str = "hierarchical"
    given: frozenset[str] = frozenset()
    holds = True

    def penalty(self, rep: HierarchicalAutoencoder, seen: Encoded) -> Terms:
        short = [uncovered(block.predicted.detach(), block.reach) / _spread(block) for block in seen.blocks]
        return {"coverage": torch.stack(short).mean()}

    def certify(self, rep: HierarchicalAutoencoder, seen: Encoded) -> dict[str, float]:
        """Share of selected parents that fire."""
        asked = sum(float((block.predicted > 0).sum()) for block in seen.blocks)
        met = sum(float(((block.predicted > 0) & (block.high > 0)).sum()) for block in seen.blocks)
        return {"covered": met / max(asked, 1.0)}


def _spread(block: Block) -> Tensor:
    """Variance of a block's codes, summed over its latents."""
    return (block.high - block.high.mean(dim=0)).square().sum(dim=1).mean().clamp_min(1e-12)
