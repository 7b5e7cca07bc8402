"""What tasks and constraints of a representation share, beyond those of dictionaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor, nn

from probes.representations.represented import Represented
from probes.representations.spec import Spec
from probes.training.objective import Batch, Part, Terms

if TYPE_CHECKING:
    from probes.representations.representation import LatentModel

ON = "representation"
Symmetry = Literal["permutation", "sign", "scale"]


class LatentPart(Part):
    """A task or constraint over an encoder's latents.

    `key`: its name in the registry, under which what it trains along is kept; `encodes`: observations beside x whose
    latents it wants; `decodes`: it reads the shared decoder from latents to what is seen; `told`: what of the truth it
    is told in training, in a few words, for whoever compares it with parts that are told nothing.
    """

    on: str = ON
    key: ClassVar[str]
    told: ClassVar[str] = ""
    encodes: ClassVar[frozenset[str]] = frozenset()
    decodes: ClassVar[bool] = False

    def own(self, spec: Spec) -> nn.Module | None:
        """The network or prior that it trains along; none where it needs none."""
        return None

    def refuses(self, spec: Spec) -> str:
        """Why it cannot work on these rows, beyond missing fields; empty where it can."""
        return ""

    def after_step(self, rep: LatentModel) -> None:
        """After the optimiser: whatever follows the encoder without a gradient."""


class LatentTask(LatentPart):
    """What latents must preserve. `reads`: the observations it looks at."""

    reads: frozenset[str] = frozenset({"x"})

    def loss(self, rep: LatentModel, seen: Represented, batch: Batch) -> Terms:
        raise NotImplementedError


class LatentConstraint(LatentPart):
    """What structure latents must have. `given`: the conditions it is told; `divides`: by what it splits the latents
    into blocks; `symmetries`: what may be done to latents without changing its penalty, where what it trains along is
    as at the start."""

    given: frozenset[str] = frozenset()
    divides: ClassVar[Literal["", "domains", "blanket"]] = ""
    symmetries: ClassVar[frozenset[Symmetry]] = frozenset()

    def beside(self, task: Any, spec: Spec) -> str:
        """Why it cannot stand beside this task; empty where it can."""
        return ""

    def blocks(self, rep: LatentModel) -> dict[str, list[int]]:
        """The latents of each block, where it divides them."""
        return {}

    def impose(self, rep: LatentModel, seen: Represented) -> Represented:
        """What tasks and penalties see of the latents, while the constraint has any weight."""
        return seen

    def codes(self, mean: Tensor) -> Tensor:
        """What counts of the means, `… latent`, where latents are looked at, moved or scored after training: all of
        it, unless the constraint keeps a part from tasks."""
        return mean

    def penalty(self, rep: LatentModel, seen: Represented) -> Terms:
        raise NotImplementedError

    def certify(self, rep: LatentModel, seen: Represented) -> dict[str, float]:
        """How far the structure is in fact there, measured on rows that were not trained on."""
        raise NotImplementedError
