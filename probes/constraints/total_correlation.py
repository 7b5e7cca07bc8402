"""Constraint: latents share no information with each other."""

from __future__ import annotations

import torch

from probes.parts.independence import gaussian_dependence, total_correlation
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented, as_samples
from probes.training.objective import Terms


class TotalCorrelation(LatentConstraint):
    """KL(q(z) ‖ Π q(z_i)) per latent, in nats, estimated on the batch's posteriors (β-TCVAE); tasks read samples."""

    key = "total_correlation"
    symmetries = frozenset({"permutation", "sign", "scale"})

    def impose(self, rep: LatentModel, seen: Represented) -> Represented:
        return as_samples(seen)

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        z = as_samples(seen).z
        return {"dependence": total_correlation(z, seen.mean, seen.log_variance) / z.shape[1]}

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """Nats that a Gaussian with the latents' correlations shares between them, per latent."""
        return {"gaussian_nats_per_latent": float(gaussian_dependence(seen.mean, 1e-3)) / seen.mean.shape[1]}
