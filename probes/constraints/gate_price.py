"""Constraint: open gates have a price (gated autoencoders)."""

from __future__ import annotations

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.losses import weighted_l1
from probes.training.objective import Part, Terms


class GatePrice(Part):
    """Σ_i ReLU(π_i) ‖w_i‖ per row, in the units of `CodePrice`; magnitudes are free of any price."""

    on: str = "gated"
    given: frozenset[str] = frozenset()

    def penalty(self, rep: TrainableAutoencoder, seen: Encoded) -> Terms:
        assert seen.pre is not None
        return {"sparsity": weighted_l1(seen.pre.relu(), rep.decoder_norms()) / rep.variance.sqrt()}

    def certify(self, rep: TrainableAutoencoder, seen: Encoded) -> dict[str, float]:
        """Mean and largest number of active latents per row: a price promises no number."""
        l0 = seen.l0()
        return {"l0_mean": float(l0.float().mean()), "l0_max": float(l0.max())}
