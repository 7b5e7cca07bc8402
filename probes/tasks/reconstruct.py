"""Tasks of a dictionary: rebuild the activations, and revive latents that no longer help to."""

from __future__ import annotations

from pydantic import Field

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.losses import normalised_error, revival_error
from probes.configs import Frozen
from probes.training.objective import Batch, Part, Terms


class Reconstruct(Part):
    """Rebuild each row, or the one it predicts, from its codes; unexplained share of the batch's variance."""

    on, reads = "autoencoder", frozenset({"x"})

    def loss(self, rep: TrainableAutoencoder, seen: Encoded, batch: Batch) -> Terms:
        return {"reconstruction": normalised_error(seen.target, seen.decoded)}


class ReviveConfig(Frozen):
    """Auxiliary loss that lets dead latents explain the residual."""

    weight: float = Field(default=1 / 32, description="Weight of the auxiliary loss.", ge=0, le=10)
    k: int = Field(default=64, description="Dead latents used per row.", ge=1)
    every: int = Field(
        default=8, description="Use one row in this many (the full batch costs more than the step).", ge=1
    )


class Revive(Part):
    """Give dead latents the residual of the live ones to explain (AuxK, Gao et al. 2024).

    The residual is detached and only dead rows take part, so live latents get exactly zero gradient.
    It reads observations (the residual), so it is a task and no constraint.
    """

    Config = ReviveConfig
    config: ReviveConfig
    on, reads = "autoencoder", frozenset({"x"})

    def loss(self, rep: TrainableAutoencoder, seen: Encoded, batch: Batch) -> Terms:
        dead = rep.dead().nonzero().squeeze(1)
        if rep.ranks.shards.total(len(dead)) == 0:
            return {}
        part = slice(None, None, self.config.every)
        residual = (seen.target[part] - seen.decoded[part]).detach()
        pre = rep.pre_activations(seen.x[part].detach(), dead, bias=rep.b_dec.detach())
        return {"revival": revival_error(residual, pre, rep.w_dec[dead], self.config.k, rep.ranks.shards)}
