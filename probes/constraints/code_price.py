"""Constraint: codes have a price, the decoder norms in it. A soft sparsity."""

from __future__ import annotations

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.losses import weighted_l1
from probes.training.objective import Part, Terms


class CodePrice(Part):
    """Σ_i z_i ‖w_i‖ per row, in units of the targets' typical distance from their mean.

    The error is a share of their variance, so that one price means the same for every width and normalisation:
    a price c of the usual loss, squared error + c · L1, is c / √variance here.
    """

    on: str = "relu"
    given: frozenset[str] = frozenset()

    def penalty(self, rep: TrainableAutoencoder, seen: Encoded) -> Terms:
        return {"sparsity": weighted_l1(seen.value, rep.decoder_norms(), seen.index) / rep.variance.sqrt()}

    def certify(self, rep: TrainableAutoencoder, seen: Encoded) -> dict[str, float]:
        """Mean and largest number of active latents per row: a price promises no number."""
        l0 = seen.l0()
        return {"l0_mean": float(l0.float().mean()), "l0_max": float(l0.max())}
