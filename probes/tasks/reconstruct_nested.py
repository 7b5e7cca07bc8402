"""Task of nested dictionaries: every narrower width rebuilds the row by itself."""

from __future__ import annotations

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.losses import nested_error
from probes.training.objective import Batch, Part, Terms


class ReconstructNested(Part):
    """Sum over the narrower widths of the unexplained share of the batch's variance."""

    on, reads = "matryoshka", frozenset({"x"})

    def loss(self, rep: TrainableAutoencoder, seen: Encoded, batch: Batch) -> Terms:
        return {"nested": nested_error(seen.target, seen.prefixes)} if seen.prefixes else {}
