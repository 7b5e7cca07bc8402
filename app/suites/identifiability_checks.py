"""What the numbers on an edge are worth, where the truth is known: edges of shuffled rows, how often an edge of a given
bootstrap frequency is true, and how often an interval holds the effect it is of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np

from app.suites.identified import Floats, GraphsConfig, Pair, Recovery, both_codes, placed_in
from app.suites.ranked import Cuts, rankings_of
from app.suites.rows import Row, of_interval
from app.suites.world_training import Case
from concept_graphs.evidence import EvidenceConfig
from concept_graphs.methods import BOOTSTRAP
from concept_graphs.proposing import BothCodes, frequencies, frequency_of, proposed_tables
from concept_graphs.seeds import MATCH
from concept_graphs.world_evidence import all_effects, deviation_of, mean_effects
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.probe import Level
from probes.metrics.intervals import bootstrap, seeds_interval
from probes.metrics.seed_agreement import nearest_rows
from probes.worlds.layers import Layered
from probes.worlds.world import Flags

Sets = Sequence[Sequence[Level]]
NULL_AIM, COVERAGE_AIM = 0.02, 0.9
BY = "interval over edges and draws"
COVERED = {
    "coverage": "share of 95 % intervals that hold the effect, from",
    "coverage_shown": "the same of effects that show at all in",
    "coverage_beyond_zero": "the same of intervals that exclude zero, from",
}
LEAST_EFFECT = 0.02  # s.d.: below that an interval that holds zero says nothing
SHARES = (("0", 0.0, 0.0), ("below-half", 1e-9, 0.5 - 1e-9), ("from-half", 0.5, 1 - 1e-9), ("1", 1.0, 1.0))


def null_rows(stage: str, config: GraphsConfig, found: Sequence[Recovery], cuts: Cuts, tests: float) -> Iterator[Row]:
    """Lower rows shuffled against higher ones: how many edges each proposal still draws, per edge it draws in truth."""
    for at, first in enumerate(found[0].pairs):
        drawn: dict[str, list[tuple[int, int]]] = {}
        for seed, one in enumerate(found):
            real = rankings_of(one.pairs[at], tests)
            shuffled = _shuffled(one.pairs[at].codes, seed)
            for method, table in proposed_tables(shuffled, config.maps, fits=config.fits, seed=seed):
                null = real[method]._replace(table=table)
                counts = [int(ranking.drawn(cuts[at, method]).sum()) for ranking in (null, real[method])]
                drawn.setdefault(method, []).append((counts[0], counts[1]))
        for method, counted in drawn.items():
            of_shuffled, kept = np.array(counted).sum(axis=0)
            yield Row(
                name=f"{stage}.{first.name}.{method}.null",
                value=float(of_shuffled / max(kept, 1)),
                n=int(kept),
                seeds=len(found),
                unit="edges of shuffled rows per edge of the rows themselves",
                better="down",
                aim=NULL_AIM,
            )


def _shuffled(codes: BothCodes, seed: int) -> BothCodes:
    random = np.random.default_rng([seed, 77])
    return BothCodes(*(PairedCodes(c.low[random.permutation(c.low.shape[0])], c.high, c.chunk) for c in codes))


def calibration_rows(stage: str, found: Sequence[Recovery], fits: int) -> Iterator[Row]:
    """Of pairs of latents with a bootstrap frequency in a range, the share that are true edges."""
    for at, first in enumerate(found[0].pairs):
        both = [(frequency_of(one.pairs[at].tables[BOOTSTRAP], fits), true_pairs(one.pairs[at])) for one in found]
        yield from _curve(f"{stage}.{first.name}.frequency", both, "over refits on resampled rows, one dictionary each")


def seed_calibration_rows(
    stage: str, config: GraphsConfig, found: Sequence[Recovery], case: Sequence[Case], sets: Sequence[Sets]
) -> Iterator[Row]:
    """The same where a frequency also averages over dictionaries of other seeds: a pair counts in another dictionary
    where both of its latents have a match there (cosine at least 0.7).

    `sets`: per world its dictionaries by training seed, each lowest level first; the first are those of `found`.
    """
    for at, first in enumerate(found[0].pairs):
        both = []
        for one, world, (own, *others) in zip(found, case, sets, strict=True):
            every = [frequency_of(one.pairs[at].tables[BOOTSTRAP], config.fits)]
            for number, other in enumerate(others, 1):
                theirs = frequencies(both_codes(config, world, other, at), config.maps, fits=config.fits, seed=number)
                every.append(_carried_over(theirs, [(own[n], other[n]) for n in (at, at + 1)]))
            both.append((np.mean(every, axis=0), true_pairs(one.pairs[at])))
        note = f"over refits on resampled rows, of {len(sets[0])} dictionaries each"
        yield from _curve(f"{stage}.{first.name}.seed_frequency", both, note)


def _carried_over(theirs: Floats, levels: Sequence[tuple[Level, Level]]) -> Floats:
    """Another dictionary's table `high low` in one's own latents; 0 where a latent has no match there."""
    (low_cosine, low), (high_cosine, high) = (
        (part.numpy() for part in nearest_rows(own.space.w_dec, other.space.w_dec)) for own, other in levels
    )
    matched = (high_cosine >= MATCH)[:, None] & (low_cosine >= MATCH)[None]
    return np.where(matched, theirs[np.ix_(high, low)], 0.0)


def _curve(name: str, both: Sequence[tuple[Floats, Flags]], note: str) -> Iterator[Row]:
    for share, low, high in SHARES:
        items = [true[(frequency >= low) & (frequency <= high)].astype(np.float64) for frequency, true in both]
        seen = [some for some in items if len(some)]
        if seen:
            unit = f"share of pairs that are true edges; interval over {'seeds' if len(seen) > 1 else 'pairs'}"
            yield of_interval(f"{name}-{share}", seeds_interval(seen), unit, note=f"frequency {note}")


def true_pairs(pair: Pair) -> Flags:
    """Which pairs of latents, `high low`, stand for a concept and a part of it."""
    true = np.zeros(pair.tested.effect.shape, dtype=np.bool_)
    low, high = pair.matched
    target, source = np.nonzero(pair.parts)
    both = (high[target] >= 0) & (low[source] >= 0)
    true[high[target[both]], low[source[both]]] = True
    return true


def coverage_rows(
    stage: str, config: GraphsConfig, case: Case, levels: Sequence[Level] | None, draws: int
) -> Iterator[Row]:
    """How often the 95 % interval of an effect, from the rows an edge is tested in, holds the mean over all rows.

    Told of all effects; of those that the tested rows show at all, as what happens in rare rows alone leaves an
    interval of no width; and of those whose interval excludes zero.
    """
    world, subject = cast("Layered", case.world), case.world.subject()
    placed = placed_in(case, levels)
    evidence = EvidenceConfig(chunks=config.chunks, nulls=1, rows=4096)
    for at in range(len(world.parts)):
        low, high = placed[at], placed[at + 1]
        deviation = deviation_of(case.train, high if world.direction == "composes" else low)
        true = mean_effects(subject, case.train, low, high, world.direction, deviation=deviation)
        sizeable = np.abs(np.nan_to_num(true)) > LEAST_EFFECT
        held: dict[str, list[Floats]] = {"coverage": [], "coverage_shown": [], "coverage_beyond_zero": []}
        for draw in range(draws):
            sample = world.draw(len(case.held_out.inputs), 50_000 + draw)
            seen = all_effects(subject, sample, low, high, world.direction, evidence, deviation=deviation)
            asked = sizeable & np.isfinite(seen.effect)
            inside = ((seen.low <= true) & (true <= seen.high)).astype(np.float64)
            beyond = (seen.low > 0) | (seen.high < 0)
            for name, among in zip(held, (asked, asked & (seen.low < seen.high), asked & beyond), strict=True):
                held[name].append(inside[among])
        for name, items in held.items():
            stem = f"{stage}.{world.views[at].name}-{world.views[at + 1].name}.{name}"
            aim = COVERAGE_AIM if name == "coverage" else None
            yield of_interval(stem, bootstrap(items), f"{COVERED[name]} {config.chunks} rows; {BY}", "up", aim=aim)
