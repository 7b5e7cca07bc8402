"""What every proposal returns: scored pairs of a lower and a higher latent, to be tested by intervention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.selection_map import SelectionMap


@dataclass(frozen=True)
class Proposed:
    """Proposed edges, best first; all arrays are `edge`. `score` is the proposal's own ranking."""

    source: np.ndarray
    target: np.ndarray
    score: np.ndarray
    weight: np.ndarray
    correlation: np.ndarray
    frequency: np.ndarray

    def __len__(self) -> int:
        return len(self.source)

    def take(self, chosen: np.ndarray) -> Proposed:
        return Proposed(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


Attribution = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(targets `target`, sources `target candidate`) to what each source adds to its target's pre-activation, to first
order and on average over rows of training data in which the target is on: `target candidate`."""


class Proposal(Protocol):
    """Scores pairs from paired codes of held-in text. The subject is not run, but where `needs_subject` says so,
    and then through `attribute` alone.

    `found` is the fitted selection map of the pair, None where the probe has none; targets that it, or the
    proposal's own regression, predicts worse than `r2_floor` need not be proposed.
    """

    needs_map: bool
    needs_subject: bool

    def propose(
        self,
        codes: PairedCodes,
        found: SelectionMap | None = None,
        *,
        r2_floor: float = 0.05,
        attribute: Attribution | None = None,
    ) -> Proposed: ...


def spread_out(
    proposed: Proposed,
    count: int,
    *,
    per_target: int,
    per_source: int,
    favoured: frozenset[int] = frozenset(),
    favoured_share: float = 0.0,
) -> Proposed:
    """The best `count` edges with at most so many per target and per source, so that no hub takes all.

    Up to `favoured_share` of them go to the `favoured` targets first: with the sources of the level pair
    above, edges join into chains through more than two levels.
    """
    chosen: list[int] = []
    targets: dict[int, int] = {}
    sources: dict[int, int] = {}
    order = np.argsort(-proposed.score, kind="stable")
    wanted = np.isin(proposed.target[order], list(favoured))

    def take(places: np.ndarray, most: int) -> None:
        for at in places:
            source, target = int(proposed.source[at]), int(proposed.target[at])
            if len(chosen) >= most:
                return
            if targets.get(target, 0) >= per_target or sources.get(source, 0) >= per_source:
                continue
            targets[target], sources[source] = targets.get(target, 0) + 1, sources.get(source, 0) + 1
            chosen.append(int(at))

    take(order[wanted], round(count * favoured_share))
    taken = frozenset(chosen)
    take(np.array([at for at in order if int(at) not in taken], dtype=int), count)
    best = np.array(chosen, dtype=int)
    return proposed.take(best[np.argsort(-proposed.score[best], kind="stable")])


def predicted_effect(codes: PairedCodes, source: np.ndarray, target: np.ndarray, r: np.ndarray) -> np.ndarray:
    """The target's change, in its s.d., that a regression of correlation `r` predicts for ablating the
    source where it is active: r · mean active value / s.d. of the source."""
    rows = codes.low.shape[0]
    total = np.bincount(codes.low.indices, weights=codes.low.data, minlength=codes.low.shape[1])
    square = np.bincount(codes.low.indices, weights=codes.low.data**2, minlength=codes.low.shape[1])
    count = np.bincount(codes.low.indices, minlength=codes.low.shape[1])
    deviation = np.sqrt(np.maximum(square / rows - (total / rows) ** 2, 1e-12))
    active = total / np.maximum(count, 1)
    return np.asarray(r * active[source] / deviation[source])
