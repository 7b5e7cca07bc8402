"""Would the graph be the same with another seed of the dictionaries, or with the other half of the data?

Edge sets are compared by the share of edges in both among those in either (Jaccard). Chance is close to zero: edges
are a small share of all pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace

import numpy as np

from concept_graphs.effects import edge_evidence
from concept_graphs.evidence import SourceEffects
from concept_graphs.seeds import MATCH
from concept_graphs.tables import CONFIRMED
from probes.errors import WorkbenchError
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.probe import Level, Probe
from probes.hierarchy.selection_map import SelectionMap
from probes.metrics.intervals import bootstrap
from probes.metrics.seed_agreement import nearest_rows

Edges = set[tuple[int, int]]


def seed_figures(probe: Probe, others: Sequence[Probe], low: Level, high: Level) -> dict[str, list[float]]:
    """Figures of a pair of levels over other seeds' selection maps: `agreement_seeds`, the Jaccard of the edges whose
    ends both seeds have, and `matched_seeds`, the share of edges of which that is so. Each [value, low, high, n]."""
    own = _edges_of(probe.map_between(low.name, high.name))
    agreed, matched = [], []
    for other in others:
        theirs = _edges_of(other.map_between(low.name, high.name))
        if not own or not theirs:
            continue
        lower = mutual_matches(low, other.level(low.name), [edge[0] for edge in own])
        upper = mutual_matches(high, other.level(high.name), [edge[1] for edge in own])
        known = {(s, t) for s, t in own if s in lower and t in upper}
        matched.append(_counted(own, known))
        mine = {(lower[s], upper[t]) for s, t in known}
        comparable = {(s, t) for s, t in theirs if s in set(lower.values()) and t in set(upper.values())}
        agreed.append(_counted(mine | comparable, mine & comparable))
    return _figure("agreement_seeds", agreed) | _figure("matched_seeds", matched)


def mutual_matches(level: Level, other: Level, latents: Sequence[int], least: float = MATCH) -> dict[int, int]:
    """Latents to those of another dictionary whose decoder row is nearest both ways, at a cosine of at least `least`.

    Only where both decoders write into spaces of one width; none otherwise.
    """
    if level.space.w_dec.shape[1] != other.space.w_dec.shape[1]:
        return {}
    asked = sorted(set(latents))
    cosine, index = nearest_rows(level.space.w_dec[asked], other.space.w_dec)
    _, back = nearest_rows(other.space.w_dec[index], level.space.w_dec)
    rows = zip(asked, index.tolist(), cosine.tolist(), back.tolist(), strict=True)
    return {latent: match for latent, match, size, returned in rows if size >= least and returned == latent}


def half_figures(
    effects: Mapping[int, SourceEffects],
    sources: Sequence[int],
    targets: Sequence[int],
    columns: Sequence[int],
    deviation: np.ndarray,
) -> dict[str, list[float]]:
    """`agreement_halves`: the Jaccard of the edges that either half of the held-out chunks confirms by itself.

    Arguments are those of `edge_evidence`; every second chunk of a source makes a half.
    """
    found = [
        edge_evidence(
            {source: half for source, one in effects.items() if (half := _half(one, first)) is not None},
            sources, targets, columns, deviation,
        ).columns["verdict"]
        for first in (0, 1)
    ]  # fmt: skip
    kept = [np.isin(verdict, list(CONFIRMED)) for verdict in found]
    rows: dict[int, list[int]] = {}
    for source, one, other in zip(sources, *kept, strict=True):
        if one or other:
            counts = rows.setdefault(source, [0, 0])
            counts[0] += bool(one and other)
            counts[1] += 1
    return _figure("agreement_halves", [np.array(list(rows.values()), dtype=float)] if rows else [])


def proposal_figures(codes: PairedCodes, edges_on: Callable[[PairedCodes], Edges], seed: int) -> dict[str, list[float]]:
    """`proposed_halves`: the Jaccard of the edges that `edges_on` proposes on either half of the chunks of training
    data, dealt at random. None where a half is too little to propose anything on."""
    chunks = np.unique(codes.chunk)
    first = np.random.default_rng(seed).permutation(chunks)[: len(chunks) // 2]
    inside = np.isin(codes.chunk, first)
    halves = (PairedCodes(codes.low[rows], codes.high[rows], codes.chunk[rows]) for rows in (inside, ~inside))
    try:
        one, other = map(edges_on, halves)
    except WorkbenchError:
        return {}
    return _figure("proposed_halves", [_counted(one | other, one & other)])


def _edges_of(found: SelectionMap | None) -> Edges:
    return set(zip(found.source.tolist(), found.target.tolist(), strict=True)) if found else set()


def _counted(every: Edges, hit: Edges) -> np.ndarray:
    """`target 2`: per target how many of its edges are hit, and how many there are."""
    targets = {target: at for at, target in enumerate(sorted({target for _, target in every}))}
    counts = np.zeros((len(targets), 2))
    for edge in every:
        counts[targets[edge[1]]] += (edge in hit, 1)
    return counts


def _half(found: SourceEffects, first: int) -> SourceEffects | None:
    """Every second chunk of a source's effects; None where a half would be one chunk."""
    if len(found.change) < 4:
        return None
    parts = {
        field.name: getattr(found, field.name)[:, first::2]
        if field.name.startswith("null")
        else getattr(found, field.name)[first::2]
        for field in fields(found)
        if field.name != "source"
    }
    return replace(found, **parts)


def _figure(name: str, counts: Sequence[np.ndarray]) -> dict[str, list[float]]:
    """[value, low, high, number of edges] of a ratio of sums, over targets or sources within seeds."""
    counts = [rows for rows in counts if len(rows)]
    if not counts:
        return {}
    found = bootstrap(counts, lambda rows: float(rows[:, 0].sum() / rows[:, 1].sum()))
    return {name: [found.value, found.low, found.high, float(sum(rows[:, 1].sum() for rows in counts))]}
