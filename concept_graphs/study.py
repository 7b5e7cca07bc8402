"""What a graph needs of one kind of subject: which direction its edges can be tested in, the interventions, and
how its concepts are described. Everything else about a graph is the same for texts and images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np

from concept_graphs.effects import EdgeEvidence
from concept_graphs.evidence import EvidenceConfig, SourceEffects
from concept_graphs.tables import Example, Node, Picture
from probes.activations.store import ActivationStore, Split
from probes.errors import WorkbenchError
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.probe import Level, Probe
from probes.registry import Registry

Direction = Literal["composes", "generates"]


class Described(NamedTuple):
    """Nodes in the order of the latents asked for, and their examples by concept id: texts, or pictures."""

    nodes: list[Node]
    examples: dict[str, list[Example]]
    pictures: dict[str, list[Picture]]


def refuse_writing_elsewhere(*levels: Level) -> None:
    """An edge is tested by what removing a code does where it was read. Raises `WorkbenchError` for a transcoder."""
    for level in levels:
        if level.record.writes is not None:
            raise WorkbenchError(
                "writes-elsewhere",
                f"Edges of level {level.name} cannot be tested",
                f"it reads at {level.point} and writes at {level.record.writes}",
                "Make a graph of this level alone, from a probe that has no other.",
            )


class Study(Protocol):
    """One subject with the store that was captured from it.

    `direction`: which level of a pair comes first in the subject's computation and so is the one intervened on,
    the lower one (composes) or the higher one (generates).
    """

    direction: Direction

    def check(self, *levels: Level) -> None:
        """Raise `WorkbenchError` for levels whose edges cannot be tested."""
        ...

    def ablate(
        self,
        first: Level,
        then: Level,
        sources: Sequence[int],
        targets: Sequence[int],
        config: EvidenceConfig,
        *,
        split: Split = "held_out",
        report: Callable[[int, int], None],
        stop: Callable[[], bool],
    ) -> Iterator[SourceEffects]:
        """Ablate latents of the level that is computed first, each where it fires in that part of the store, and
        yield its effects on all targets, latents of the other level. Latents that fire too seldom are skipped.
        Raises `WorkbenchError` for what this kind of subject has no evidence of."""
        ...

    def attribute(self, low: Level, high: Level, targets: np.ndarray, sources: np.ndarray) -> np.ndarray:
        """Gradient attribution of `target candidate` sources to their targets on training data, the same shape: see
        `concept_graphs.edges.proposal.Attribution`. Raises `WorkbenchError` where it would cost too much."""
        ...

    def deviation(self, then: Level, codes: PairedCodes) -> np.ndarray:
        """s.d. of each latent of the level measured, over what its effects are averaged over, `n_latents`."""
        ...

    def judged(self, evidence: EdgeEvidence, first: Level, then: Level) -> EdgeEvidence:
        """The evidence in the words that fit the direction and these levels, of which `first` was ablated."""
        ...

    def describe(self, level: Level, latents: Sequence[int], others: Sequence[Probe], *, count: int) -> Described:
        """Labels with their scores, and at most `count` examples of each latent."""
        ...

    def costs(self, level: Level, chunks: int) -> dict[str, float]:
        """What putting the level's reconstructions in place costs the subject, measured on so many chunks."""
        ...


class Opens(Protocol):
    """A row of the registry: opens the subject a store was captured from."""

    def __call__(self, ref: str, store: ActivationStore, *, dtype: str, device: str, offline: bool) -> Study: ...


STUDIES = Registry(
    "kind of study",
    {
        "tokens": ("concept_graphs.study_text:TextStudy", "Chunks of text through a language model."),
        "images": ("concept_graphs.study_images:ImageStudy", "Trajectories of an image pipeline."),
    },
)
