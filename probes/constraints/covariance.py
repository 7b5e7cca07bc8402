"""Constraint: no two latents are correlated."""

from __future__ import annotations

import torch

from probes.parts.independence import off_diagonal_correlation
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented
from probes.training.objective import Terms


class Covariance(LatentConstraint):
    """Mean squared correlation of two latents. A rotation of uncorrelated latents of equal size is free."""

    key = "covariance"
    symmetries = frozenset({"permutation", "sign", "scale"})

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        return {"covariance": off_diagonal_correlation(seen.z)}

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        return {"mean_squared_correlation": float(off_diagonal_correlation(seen.mean))}
