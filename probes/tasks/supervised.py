"""Task: answer for known factors."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import nn

from probes.configs import Frozen
from probes.parts.networks import perceptron
from probes.representations.part import LatentTask
from probes.representations.representation import LatentModel
from probes.representations.represented import Represented
from probes.representations.spec import Spec
from probes.training.objective import Batch, Terms


class SupervisedConfig(Frozen):
    """What is asked, and of what."""

    share: float = Field(default=1.0, description="Share of the labelled factors that are asked for.", gt=0, le=1)
    head: Literal["none", "linear", "perceptron"] = Field(
        default="none", description="Between latents and answers; without one the first latents are the answers."
    )


class Supervised(LatentTask):
    """Mean squared error of standardised factors, the only truth that any task is given. Keeps what is asked for."""

    Config = SupervisedConfig
    config: SupervisedConfig
    key = "supervised"
    told = "answers"
    reads = frozenset({"x", "answers"})

    def asked(self, spec: Spec) -> int:
        """How many factors are asked for."""
        return max(1, math.ceil(self.config.share * spec.answers - 1e-9))

    def own(self, spec: Spec) -> nn.Module | None:
        if self.config.head == "none":
            return None
        inner = [spec.width] if self.config.head == "perceptron" else []
        return perceptron([spec.latents, *inner, self.asked(spec)])

    def refuses(self, spec: Spec) -> str:
        if self.config.head == "none" and self.asked(spec) > spec.latents:
            return f"{self.asked(spec)} answers want as many latents, not {spec.latents}: raise latents or set a head"
        return ""

    def loss(self, rep: LatentModel, seen: Represented, batch: Batch) -> Terms:
        asked = self.asked(rep.spec)
        said = rep.projected(self.key, seen.z)[:, :asked]
        return {"answers": (said - batch["answers"][:, :asked]).square().mean()}


class PartialConfig(SupervisedConfig):
    """What is asked, and of what: half of the factors."""

    share: float = Field(default=0.5, description="Share of the labelled factors that are asked for.", gt=0, le=1)


class SupervisedPartial(Supervised):
    """The same for some of the factors; of the others nothing is asked."""

    Config = PartialConfig
    key = "supervised_partial"
    told = "some answers"
