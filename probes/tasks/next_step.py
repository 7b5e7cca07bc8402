"""Task: foresee what is seen next from the latents of what was seen before."""

from __future__ import annotations

from torch import nn

from probes.autoencoders.losses import normalised_error
from probes.parts.networks import perceptron
from probes.representations.part import LatentTask
from probes.representations.representation import LatentModel, as_floats
from probes.representations.represented import Represented
from probes.representations.spec import Spec
from probes.training.objective import Batch, Terms


class NextStep(LatentTask):
    """Unexplained share of the variance of x, decoded from the latents foreseen by those before it.

    Keeps the predictive state: what the past says of the present.
    """

    key = "next_step"
    decodes = True
    reads = frozenset({"x", "past"})
    encodes = frozenset({"past"})

    def own(self, spec: Spec) -> nn.Module:
        return perceptron([spec.lag * spec.latents, spec.width, spec.latents])

    def loss(self, rep: LatentModel, seen: Represented, batch: Batch) -> Terms:
        assert rep.decoder is not None and seen.past is not None
        foreseen = rep.head(self.key)(seen.past.z.flatten(1))
        return {"foresight": normalised_error(as_floats(batch["x"]).flatten(1), rep.decoder(foreseen).flatten(1))}
