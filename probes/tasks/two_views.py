"""What tasks that compare two views of a row share: a projection, and one function of both views."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from probes.configs import Frozen
from probes.parts.networks import perceptron
from probes.representations.part import LatentTask
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented
from probes.representations.spec import Spec
from probes.training.objective import Batch, Terms


class TwoViewsConfig(Frozen):
    """What of the latents is compared."""

    projection: int = Field(
        default=64, description="Width of what is compared, a perceptron's; 0 compares the latents themselves.", ge=0
    )


class TwoViews(LatentTask):
    """Keeps what the views share; `compare` says how."""

    Config = TwoViewsConfig
    config: TwoViewsConfig
    reads = frozenset({"x", "second"})
    encodes = frozenset({"second"})

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        raise NotImplementedError

    def own(self, spec: Spec) -> nn.Module | None:
        wide = self.config.projection
        return perceptron([spec.latents, spec.width, wide]) if wide else None

    def loss(self, rep: LatentModel, seen: Represented, batch: Batch) -> Terms:
        assert seen.second is not None
        first, second = (rep.projected(self.key, view.z) for view in (seen, seen.second))
        return {"contrast": self.compare(first, second)}
