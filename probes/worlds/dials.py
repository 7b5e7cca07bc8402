"""What can be set of any world whose factors a process draws, and which settings do not go together."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from probes.configs import Variant
from probes.refusals import Unfit

EVERY = "all"  # in `labelled`

Pairs = Literal["none", "changed", "augmented"]
Combinations = Literal["all", "training", "held_out"]


class ProcessConfig(Variant):
    """How factors are drawn, and what is told of them."""

    domains: int = Field(
        default=12, description="How many domains rows are drawn from, evenly; 0 for none.", ge=0, le=1000
    )
    domain_means: float = Field(
        default=1.0, description="Standard deviation over domains of the mean of a factor that has one.", ge=0, le=10
    )
    domain_scales: float = Field(default=0.5, description="The same for the logarithm of a factor's scale.", ge=0, le=2)
    pairs: Pairs = Field(
        default="none", description="Second views: of factors of which a few changed, or of the same, augmented."
    )
    most_changed: int = Field(
        default=1, description="Most factors that are drawn again for a changed second view; one at least is.", ge=1
    )
    lag: int = Field(default=0, description="Steps seen before x; 0 for rows without a past.", ge=0, le=32)
    carried: float = Field(default=0.8, description="How much of a factor one step keeps.", ge=0, lt=1)
    instantaneous: bool = Field(
        default=False, description="With a past, causes act within the step and not one step later."
    )
    interventions: float = Field(
        default=0.0, description="Share of rows with one factor intervened on; 0 tells of none.", ge=0, le=1
    )
    intervention: Literal["perfect", "soft"] = Field(
        default="perfect", description="Whether an intervention cuts a factor from its causes or moves its mechanism."
    )
    labelled: tuple[str, ...] = Field(
        default=(), description="Names of the factors in answers, or the word all; empty for no answers."
    )
    combinations: Combinations = Field(
        default="all",
        description="Rows with any factors, none of the held-out combinations, or these alone; without them, cells are "
        "scored on them too.",
    )

    def check(self, names: tuple[str, ...]) -> None:
        """Raises `Unfit` where the dials do not fit a world of these factors."""
        if self.pairs == "changed" and self.most_changed > len(names):
            raise Unfit("most_changed", f"there are {len(names)} factors: ask for {len(names)} at most")
        if self.instantaneous and not self.lag:
            raise Unfit("instantaneous", "without a past causes act at once anyway: set lag, or turn this off")
        for name in self.labelled:
            if name not in names and name != EVERY:
                raise Unfit("labelled", f"{name[:60]!r} is no factor: choose of {', '.join(names)}, or all")
        if len(set(self.labelled)) < len(self.labelled) or (EVERY in self.labelled and len(self.labelled) > 1):
            raise Unfit("labelled", "a factor is named twice: name each once, or say all and nothing else")
        if self.combinations != "all" and len(names) < 2:
            raise Unfit("combinations", "one factor alone has no combinations: leave it at all")

    def answers(self, names: tuple[str, ...]) -> list[int]:
        """Places of the labelled factors."""
        return [*range(len(names))] if EVERY in self.labelled else [names.index(name) for name in self.labelled]
