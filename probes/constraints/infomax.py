"""Constraint: latents fill their space. The entropy of the Gaussian with their correlations."""

from __future__ import annotations

import torch
from pydantic import Field

from probes.configs import Frozen
from probes.parts.independence import gaussian_dependence
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented
from probes.training.objective import Terms


class InfoMaxConfig(Frozen):
    """How correlations are kept from being singular."""

    shrink: float = Field(default=0.05, description="Share of the identity in the correlations.", gt=0, le=1)


class InfoMax(LatentConstraint):
    """−½ log det of the latents' correlations, per latent, in nats: high entropy at given deviations (method 4)."""

    Config = InfoMaxConfig
    config: InfoMaxConfig
    key = "infomax"
    symmetries = frozenset({"permutation", "sign", "scale"})

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        return {"entropy": gaussian_dependence(seen.z, self.config.shrink) / seen.z.shape[1]}

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        found = gaussian_dependence(seen.mean, self.config.shrink)
        return {"gaussian_nats_per_latent": float(found) / seen.mean.shape[1]}
