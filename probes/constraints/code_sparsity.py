"""Constraint: k active latents per row, at most or on average, imposed by the encoder's selection itself."""

from __future__ import annotations

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.training.objective import Part, Terms


class CodeSparsity(Part):
    """A hard constraint: the encoder keeps the k largest pre-activations, so there is nothing to penalise
    and everything to certify."""

    on: str = "autoencoder"
    given: frozenset[str] = frozenset()

    def penalty(self, rep: TrainableAutoencoder, seen: Encoded) -> Terms:
        return {}

    def certify(self, rep: TrainableAutoencoder, seen: Encoded) -> dict[str, float]:
        """Mean and largest number of active latents per row, and the k that was asked for."""
        l0 = seen.l0()
        return {"l0_mean": float(l0.float().mean()), "l0_max": float(l0.max()), "k": float(rep.k)}
