"""Constraint: each latent goes with few dimensions of what is seen."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from probes.configs import Frozen
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented
from probes.training.objective import Terms

LEAST = 1e-9  # of a slope, in units of what is seen: far below any of a latent in use, whose scale must not count


class MechanismSparsityConfig(Frozen):
    """What of the Jacobian is looked at."""

    rows: int = Field(default=32, description="Rows of a batch whose Jacobian is taken.", ge=1)
    latents: int = Field(default=64, description="Latents per step; of more, so many are drawn afresh each step.", ge=1)


class MechanismSparsity(LatentConstraint):
    """mean_j |J_ij| / √mean_j J_ij² over latents i and rows, J the decoder's Jacobian in units of their deviations.

    Free of scale: only over how many dimensions an effect lies counts. A latent that moves nothing counts like one that
    moves everything alike, so none is given up to look sparse. Where the task has no decoder, the encoder's
    Jacobian stands in, which says of what a latent is read and not what it moves; `certify` says which it was.
    """

    Config = MechanismSparsityConfig
    config: MechanismSparsityConfig
    key = "mechanism_sparsity"
    symmetries = frozenset({"permutation", "sign", "scale"})

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        return {"mechanism": sparseness(self._slopes(rep, seen))}

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """The penalty, between 1 / √dimensions and 1; dimensions that live latents hardly go with; dead latents,
        which go with none; whether a decoder's."""
        moved = self._slopes(rep, seen).detach()
        largest = moved.amax(dim=2, keepdim=True)
        live = largest > LEAST
        return {
            "spread": float(sparseness(moved)),
            "hardly_moved": float(((moved < 0.05 * largest) & live).float().mean()),
            "dead": float((~live).all(dim=1).float().mean()),
            "of_a_decoder": float(rep.decoder is not None),
        }

    def _slopes(self, rep: LatentModel, seen: Represented) -> Tensor:
        return rep.slopes(seen, self.config.rows, self.config.latents).abs()


def sparseness(slopes: Tensor) -> Tensor:
    """Mean over latents and rows of mean_j s_j / √mean_j s_j², from `latent row dimension`, none negative; 1, the most
    there is, where all slopes are nothing."""
    length = (slopes.square().mean(dim=2) + LEAST**2).sqrt()
    return ((slopes.mean(dim=2) + LEAST) / length).mean()
