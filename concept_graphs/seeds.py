"""Do other seeds find the same? Latents matched by decoder cosine, and edges by their matched pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from concept_graphs.edges.proposal import Proposed
from probes.hierarchy.probe import Level, Probe
from probes.metrics.seed_agreement import nearest_rows

MATCH = 0.7


class SeedAgreement(NamedTuple):
    """`support`: `edge`, the share of other seeds whose matched pair of latents their own map also keeps."""

    support: np.ndarray


def best_matches(level: Level, other: Probe, latents: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """(best cosine, its latent) in another seed's dictionary of the same level, both `latent`."""
    cosine, index = nearest_rows(level.space.w_dec[list(latents)], other.level(level.name).space.w_dec)
    return cosine.numpy(), index.numpy()


def seed_agreement(probe: Probe, others: Sequence[Probe], low: Level, high: Level, proposed: Proposed) -> SeedAgreement:
    """Support of each edge: in how many other seeds both ends match (cosine at least 0.7) and the pair of
    matches is an edge of that seed's own selection map."""
    support = np.zeros(len(proposed))
    for other in others:
        found = other.map_between(low.name, high.name)
        kept = set(zip(found.source.tolist(), found.target.tolist(), strict=True)) if found else set()
        cosine_low, match_low = best_matches(low, other, proposed.source.tolist())
        cosine_high, match_high = best_matches(high, other, proposed.target.tolist())
        pairs = zip(match_low.tolist(), match_high.tolist(), strict=True)
        support += np.array([pair in kept for pair in pairs]) & (cosine_low >= MATCH) & (cosine_high >= MATCH)
    return SeedAgreement(support / max(len(others), 1))
