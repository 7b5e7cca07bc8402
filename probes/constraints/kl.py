"""Constraint: latents look like standard normals. The control: it knows nothing of the data's structure."""

from __future__ import annotations

import torch

from probes.parts.likelihood import gaussian_kl
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented, as_samples
from probes.training.objective import Terms


class KL(LatentConstraint):
    """KL(q(z|x) ‖ N(0, I)) per latent, in nats (β-VAE); tasks then read samples."""

    key = "kl"
    symmetries = frozenset({"permutation", "sign"})

    def impose(self, rep: LatentModel, seen: Represented) -> Represented:
        return as_samples(seen)

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        return {"prior": gaussian_kl(seen.mean, seen.log_variance).mean()}

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """Nats per latent beyond the prior, and the share of latents that say nothing."""
        nats = gaussian_kl(seen.mean, seen.log_variance).mean(dim=0)
        return {"nats_per_latent": float(nats.mean()), "silent": float((nats < 0.01).float().mean())}
