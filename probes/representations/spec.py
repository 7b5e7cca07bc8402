"""What networks and priors have to fit: the shapes of a world's rows, and how many latents are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from probes.worlds.factors import FactorWorld
from probes.worlds.world import Flags

MORE_DOMAINS = "set its domains above 1, or choose a split with several"
# What to set where a field is missing, in the words of the worlds' own dials.
REMEDIES: Mapping[str, str] = {
    "second": "set its pairs",
    "past": "set its lag above 0",
    "answers": "label some of its factors",
    "caption": "set its captions",
    "domain": MORE_DOMAINS,
    "changed": "set its pairs to changed",
    "target": "set its interventions above 0",
}


@dataclass(frozen=True)
class Spec:
    """`shape`: of one row of x; `fields`: what batches hold; `edges`: `cause effect` among factors, where a method may
    be told them; `domains`: numbers of domains, `trained_domains` how many of them the rows to train on are of."""

    shape: tuple[int, ...]
    latents: int
    width: int
    fields: frozenset[str]
    answers: int
    domains: int
    trained_domains: int
    words: int
    edges: Flags
    lag: int

    @property
    def picture(self) -> bool:
        return len(self.shape) == 3

    def lacks(self, wanted: frozenset[str]) -> str:
        """Why a part that wants these fields cannot have them; empty where it can."""
        missing = sorted(wanted - self.fields - {"x"})
        if not missing:
            return ""
        return f"the world as set has no {missing[0]}: {REMEDIES[missing[0]]}"

    def few_domains(self, least: int = 2) -> str:
        """Why a part that compares so many domains cannot be trained; empty where it can."""
        if self.trained_domains >= least:
            return ""
        found = f"{self.trained_domains} domain{'' if self.trained_domains == 1 else 's'}"
        return f"the world as set has {found} to train on in its field domain, not {least} or more: {MORE_DOMAINS}"


def spec_of(world: FactorWorld, latents: int, width: int) -> Spec:
    """The spec of a world's rows; as many latents as factors where `latents` is 0."""
    few = world.draw(4, 0).fields
    return Spec(
        shape=tuple(world.shape),
        latents=latents or len(world.names),
        width=width,
        fields=frozenset(world.fields),
        answers=few["answers"].shape[1] if "answers" in few else 0,
        domains=world.domains,
        trained_domains=world.trained_domains,
        words=len(world.words),
        edges=world.edges,
        lag=few["past"].shape[1] if "past" in few else 0,
    )
