"""A graph of an image pipeline: high noise is computed first, so the whole is ablated and its parts are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from concept_graphs.describe_images import describe_images
from concept_graphs.effects import EdgeEvidence
from concept_graphs.evidence import EvidenceConfig, SourceEffects
from concept_graphs.evidence_images import (
    Bands,
    SplitImages,
    ablate_in_images,
    bands_of,
    computed_later,
    image_deviation,
)
from concept_graphs.study import Described, Direction, refuse_writing_elsewhere
from probes.activations.store import ActivationStore, Split
from probes.errors import WorkbenchError
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.probe import Level, Probe
from probes.subjects.image_diffusion import ImageDiffusion
from probes.subjects.loading import load_subject


class ImageStudy:
    """See `Study`."""

    direction: Direction = "generates"

    def __init__(self, ref: str, store: ActivationStore, *, dtype: str, device: str, offline: bool) -> None:
        self.store = store
        self.subject = load_subject(ref, of=ImageDiffusion, dtype=dtype, device=device, offline=offline)
        self.images = SplitImages(store)

    def check(self, *levels: Level) -> None:
        """The higher level must be computed first, so that what is done to it comes before the lower one: at more
        noise, or in an earlier block of the same steps."""
        refuse_writing_elsewhere(*levels)
        low, high = levels
        if not self._bands(high, low).read:
            raise WorkbenchError(
                "wrong-order",
                f"Edges between {low.name} and {high.name} cannot be tested",
                f"{low.name} reads at {low.address}, {high.name} at {high.address}; "
                "the higher level has to be computed first",
                "Train again with the least noise, or the latest block, at the lowest level.",
            )

    def _bands(self, first: Level, then: Level) -> Bands:
        later = computed_later(self.subject, self.images, first.point, then.point)
        return bands_of(self.store, first, then, later=later)

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
        if config.intervention == "mean":
            raise WorkbenchError(
                "no-mean",
                "Edges of an image graph cannot be tested so",
                "a concept is left at its mean in texts only",
                "Set evidence.intervention to ablate or activate.",
            )
        images = self.images if split == "held_out" else SplitImages(self.store, split)
        return ablate_in_images(self.subject, images, (first, then), sources, targets, config, report=report, stop=stop)

    def attribute(self, low: Level, high: Level, targets: np.ndarray, sources: np.ndarray) -> np.ndarray:
        raise WorkbenchError(
            "no-gradients",
            "Edges between levels of images are not proposed from gradients",
            "each target would need a backward pass through every step of whole trajectories",
            "Choose another proposal, or set evidence.trials to try ablations on training images.",
        )

    def deviation(self, then: Level, codes: PairedCodes) -> np.ndarray:
        """Over training images, of the code's mean over an image."""
        return image_deviation(self.store, then)

    def judged(self, evidence: EdgeEvidence, first: Level, then: Level) -> EdgeEvidence:
        """Confirmed edges are generated ones; what text calls held is here what the sampler state carries, or
        single passes of the denoiser do."""
        part = "inside" if self._bands(first, then).within else "state"
        columns = {name.replace("held", part): column for name, column in evidence.columns.items()}
        confirmed = np.isin(columns["verdict"], ["composed", "carried"])
        columns["verdict"] = np.where(confirmed, "generated", columns["verdict"])
        null = {name: value for name, value in evidence.null.items() if "held" not in name}
        return EdgeEvidence(columns, null | {"unit": "mean code of an image"})

    def describe(self, level: Level, latents: Sequence[int], others: Sequence[Probe], *, count: int) -> Described:
        return describe_images(self.subject, self.store, level, latents, others, count=count)

    def costs(self, level: Level, chunks: int) -> dict[str, float]:
        """Not measured: what a reconstruction does to a finished image has no one number yet."""
        return {}
