"""Constraint: dead latents stay within reach of their thresholds."""

from __future__ import annotations

from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.encoded import Encoded
from probes.autoencoders.losses import out_of_reach
from probes.training.objective import Part, Terms


class WithinReach(Part):
    """Σ over dead latents of ReLU(θ − pre) ‖w‖ per row, in the units of `CodePrice` (Anthropic's pre-activation
    loss). It moves dead latents to wherever rows are, not to what is left unexplained."""

    on: str = "jumprelu"
    given: frozenset[str] = frozenset()

    def penalty(self, rep: TrainableAutoencoder, seen: Encoded) -> Terms:
        dead = rep.dead()
        if seen.pre is None or not bool(dead.any()):
            return {}
        far = out_of_reach(seen.pre[:, dead], rep.thresholds()[dead], rep.decoder_norms()[dead])
        return {"reach": far / rep.variance.sqrt()}

    def certify(self, rep: TrainableAutoencoder, seen: Encoded) -> dict[str, float]:
        return {"dead": float(rep.dead().float().mean())}
