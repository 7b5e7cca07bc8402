"""A graph of a language model: early layers come first, so parts are ablated and the whole is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from concept_graphs.attribution import attributions
from concept_graphs.describe import describe
from concept_graphs.effects import EdgeEvidence
from concept_graphs.evidence import EvidenceConfig, HeldOut, SourceEffects, ablate_sources
from concept_graphs.study import Described, Direction, refuse_writing_elsewhere
from probes.activations.store import ActivationStore, Split
from probes.errors import WorkbenchError
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.probe import Level, Probe
from probes.metrics.loss_recovered import loss_recovered
from probes.subjects.loading import load_subject
from probes.subjects.text_autoregressive import TextAutoregressive

ATTRIBUTION_CHUNKS = 1024  # training chunks among which gradients look for places where a target is on


class TextStudy:
    """See `Study`."""

    direction: Direction = "composes"

    def __init__(self, ref: str, store: ActivationStore, *, dtype: str, device: str, offline: bool) -> None:
        self.store = store
        self.subject = load_subject(ref, of=TextAutoregressive, dtype=dtype, device=device, offline=offline)

    def check(self, *levels: Level) -> None:
        """An edge is tested by what removing a code does to the stream: both levels must read and write it."""
        refuse_writing_elsewhere(*levels)
        for level in levels:
            self.subject.block_of(level.point)

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
        if config.companions or config.trials:
            raise WorkbenchError(
                "no-sets",
                "Edges of a text graph cannot be tested so",
                "companions and trials are of images",
                "Leave evidence.companions and evidence.trials at 0.",
            )
        held_out = HeldOut(self.store, first, then)
        return ablate_sources(self.subject, held_out, sources, targets, config, report=report, stop=stop)

    def attribute(self, low: Level, high: Level, targets: np.ndarray, sources: np.ndarray) -> np.ndarray:
        refuse_writing_elsewhere(low, high)
        seen = HeldOut(self.store, low, high, split="train", most=ATTRIBUTION_CHUNKS)
        return attributions(self.subject, seen, targets, sources)

    def deviation(self, then: Level, codes: PairedCodes) -> np.ndarray:
        """Over all rows."""
        mean = np.asarray(codes.high.mean(axis=0)).ravel()
        square = np.asarray(codes.high.multiply(codes.high).mean(axis=0)).ravel()
        return np.asarray(np.sqrt(np.maximum(square - mean**2, 0)))

    def judged(self, evidence: EdgeEvidence, first: Level, then: Level) -> EdgeEvidence:
        return evidence

    def describe(self, level: Level, latents: Sequence[int], others: Sequence[Probe], *, count: int) -> Described:
        return describe(self.subject, self.store, level, latents, others, count=count)

    def costs(self, level: Level, chunks: int) -> dict[str, float]:
        """Cross-entropy, for token rows that are written where they are read."""
        if level.rows.span != 1 or not chunks or level.record.writes is not None:
            return {}
        return loss_recovered(self.subject, self.store, level, chunks=chunks)
