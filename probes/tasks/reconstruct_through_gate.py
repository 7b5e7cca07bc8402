"""Task of a gated dictionary: its gate alone rebuilds the row, which trains the gate."""

from __future__ import annotations

from probes.autoencoders.encoded import Encoded
from probes.autoencoders.gated import GatedAutoencoder
from probes.autoencoders.losses import normalised_error
from probes.training.objective import Batch, Part, Terms


class ReconstructThroughGate(Part):
    """Unexplained share of the variance when ReLU(π) is decoded; the decoder is held fixed unless told otherwise.

    Left free, the decoder is pulled towards the gate's shrunken values and degenerates.
    """

    on, reads = "gated", frozenset({"x"})
    holds = True

    def loss(self, rep: GatedAutoencoder, seen: Encoded, batch: Batch) -> Terms:
        assert seen.pre is not None
        return {"gate": normalised_error(seen.target, rep.through_gate(seen.pre))}
