"""Constraint: given what came before, latents are independent of each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from probes.parts.independence import off_diagonal_correlation
from probes.parts.likelihood import normal_log_density
from probes.parts.transitions import Transitions, transition_log_density
from probes.representations.part import LatentConstraint
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented, as_samples
from probes.representations.spec import Spec
from probes.training.objective import Terms


class TemporalPrior(LatentConstraint):
    """log q(z|x) − log p(z | past) per latent, in nats, p from independent noises ε_i = r_i(z_i, past) (TDRL)."""

    key = "temporal_prior"
    encodes = frozenset({"past"})
    instantaneous = False

    def own(self, spec: Spec) -> nn.Module:
        return Transitions(spec.latents, spec.lag, instantaneous=self.instantaneous)

    def impose(self, rep: LatentModel, seen: Represented) -> Represented:
        return as_samples(seen)

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        sampled = as_samples(seen)
        noise, by_now, _ = self._noise(rep, sampled)
        posterior = normal_log_density(sampled.z, seen.mean, seen.log_variance).sum(dim=1)
        return {"prior": (posterior - transition_log_density(noise, by_now)).mean() / noise.shape[1]}

    @torch.no_grad()
    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """Mean squared correlation of the noises, and their mean square, which is one where they are as promised."""
        noise, _, _ = self._noise(rep, seen)
        return {
            "correlation_of_noises": float(off_diagonal_correlation(noise)),
            "size_of_noises": float(noise.square().mean()),
        }

    def _noise(self, rep: LatentModel, seen: Represented) -> tuple[Tensor, Tensor, Tensor]:
        assert seen.past is not None
        found: tuple[Tensor, Tensor, Tensor] = rep.prior(self.key)(seen.z, seen.past.z.flatten(1))
        return found
