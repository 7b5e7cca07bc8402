"""Task of the maps inside a hierarchical dictionary: predict each higher block's codes from the one below."""

from __future__ import annotations

import torch

from probes.autoencoders.encoded import Encoded
from probes.autoencoders.hierarchical import HierarchicalAutoencoder
from probes.autoencoders.losses import normalised_error
from probes.training.objective import Batch, Part, Terms


class PredictBlocks(Part):
    """Unexplained share of the higher codes' variance, averaged over the maps (DESIGN section 5, the β term).

    Codes enter without gradient on both sides: it trains gates, weights and thresholds, and no dictionary row.
    """

    on, reads = "hierarchical", frozenset({"x"})

    def loss(self, rep: HierarchicalAutoencoder, seen: Encoded, batch: Batch) -> Terms:
        errors = [normalised_error(block.high, block.predicted) for block in seen.blocks]
        return {"selection": torch.stack(errors).mean()}
