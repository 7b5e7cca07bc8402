"""Task: rebuild what is seen from its latents."""

from __future__ import annotations

from probes.autoencoders.losses import normalised_error
from probes.representations.part import LatentTask
from probes.representations.representation import LatentModel, as_floats
from probes.representations.represented import Represented
from probes.training.objective import Batch, Terms


class Reconstruction(LatentTask):
    """Unexplained share of the batch's variance. Keeps everything visible, each dimension by how much it varies."""

    key = "reconstruction"
    decodes = True

    def loss(self, rep: LatentModel, seen: Represented, batch: Batch) -> Terms:
        assert rep.decoder is not None
        wanted = as_floats(batch["x"])
        return {"reconstruction": normalised_error(wanted.flatten(1), rep.decoder(seen.z).flatten(1))}
