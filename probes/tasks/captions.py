"""Task: tell which caption belongs to which view."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from probes.configs import Frozen
from probes.parts.contrast import matched_pairs
from probes.representations.part import LatentTask
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented
from probes.training.objective import Batch, Terms


class CaptionsConfig(Frozen):
    """How views and captions are compared."""

    temperature: float = Field(default=0.1, description="What cosines are divided by.", gt=0, le=10)


class Captions(LatentTask):
    """Symmetric contrast of views and captions (CLIP's). Keeps what captions speak of.

    Where a mask was imposed, a caption is compared with every view through its own mask, so that the mask alone does
    not give its caption away (SmartCLIP).
    """

    Config = CaptionsConfig
    config: CaptionsConfig
    key = "captions"
    reads = frozenset({"x", "caption"})

    def loss(self, rep: LatentModel, seen: Represented, batch: Batch) -> Terms:
        assert seen.caption is not None
        return {"captions": matched_pairs(likeness(seen.z, seen.caption, seen.mask) / self.config.temperature)}


def likeness(z: Tensor, caption: Tensor, mask: Tensor | None) -> Tensor:
    """Cosine of every view with every caption, `view caption`; through each caption's own mask where there is one."""
    if mask is None:
        return functional.normalize(z, dim=1) @ functional.normalize(caption, dim=1).T
    shown = functional.normalize(z[:, None] * mask[None], dim=2)  # view caption latent
    return (shown * functional.normalize(caption, dim=1)[None]).sum(dim=2)
