"""What the numbers on an edge are worth, where the truth is known: edges of shuffled rows, how often an edge of a given
bootstrap frequency is true, and how often an interval holds the effect it is of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np

from app.suites.identified import MAPS, Floats, GraphsConfig, Pair, Recovery, placed_in
from app.suites.ranked import Cuts, rankings_of
from app.suites.rows import Row, of_interval
from app.suites.world_training import Case
from concept_graphs.evidence import EvidenceConfig
from concept_graphs.proposing import BOOTSTRAP, BothCodes, proposed_tables
from concept_graphs.world_evidence import all_effects, deviation_of, mean_effects
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.probe import Level
from probes.metrics.intervals import bootstrap
from probes.worlds.layers import Layered
from probes.worlds.world import Flags

NULL_AIM, COVERAGE_AIM = 0.02, 0.9
LEAST_EFFECT = 0.02  # s.d.: below that an interval that holds zero says nothing
SHARES = (("0", 0.0, 0.0), ("below-half", 1e-9, 0.5 - 1e-9), ("from-half", 0.5, 1 - 1e-9), ("1", 1.0, 1.0))


def null_rows(stage: str, found: Sequence[Recovery], cuts: Cuts, tests: float, fits: int) -> Iterator[Row]:
    """Lower rows shuffled against higher ones: how many edges each proposal still draws, per edge it draws in truth."""
    for at, first in enumerate(found[0].pairs):
        drawn: dict[str, list[tuple[int, int]]] = {}
        for seed, one in enumerate(found):
            real = rankings_of(one.pairs[at], tests)
            for method, table in proposed_tables(_shuffled(one.pairs[at].codes, seed), MAPS, fits=fits, seed=seed):
                null = real[method]._replace(table=table)
                counts = [int(ranking.drawn(cuts[at, method]).sum()) for ranking in (null, real[method])]
                drawn.setdefault(method, []).append((counts[0], counts[1]))
        for method, counted in drawn.items():
            shuffled, kept = np.array(counted).sum(axis=0)
            yield Row(
                name=f"{stage}.{first.name}.{method}.null",
                value=float(shuffled / max(kept, 1)),
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
        both = [_frequency_and_truth(one.pairs[at], fits) for one in found]
        for name, low, high in SHARES:
            items = [true[(frequency >= low) & (frequency <= high)].astype(np.float64) for frequency, true in both]
            seen = [some for some in items if len(some)]
            if seen:
                yield of_interval(
                    f"{stage}.{first.name}.frequency-{name}",
                    bootstrap(seen),
                    "share of pairs that are true edges; interval over pairs and seeds",
                    note="frequency over refits on resampled rows, of one dictionary each",
                )


def _frequency_and_truth(pair: Pair, fits: int) -> tuple[Floats, Flags]:
    """Per pair of latents: in which share of refits it was kept, and whether it is a true edge."""
    table = pair.tables[BOOTSTRAP]
    frequency = np.where(np.isfinite(table), np.floor(np.nan_to_num(table, neginf=0.0) * fits + 1e-6) / fits, 0.0)
    true = np.zeros(table.shape, dtype=np.bool_)
    low, high = pair.matched
    target, source = np.nonzero(pair.parts)
    both = (high[target] >= 0) & (low[source] >= 0)
    true[high[target[both]], low[source[both]]] = True
    return np.minimum(frequency, 1.0).ravel(), true.ravel()


def coverage_rows(
    stage: str, config: GraphsConfig, case: Case, levels: Sequence[Level] | None, draws: int
) -> Iterator[Row]:
    """How often the 95 % interval of an effect, from the rows an edge is tested in, holds the mean over all rows."""
    world, subject = cast("Layered", case.world), case.world.subject()
    placed = placed_in(case, levels)
    evidence = EvidenceConfig(chunks=config.chunks, nulls=1, rows=4096)
    for at in range(len(world.parts)):
        low, high = placed[at], placed[at + 1]
        deviation = deviation_of(case.train, high if world.direction == "composes" else low)
        true = mean_effects(subject, case.train, low, high, world.direction, deviation=deviation)
        sizeable = np.abs(np.nan_to_num(true)) > LEAST_EFFECT
        held = []
        for draw in range(draws):
            sample = world.draw(len(case.held_out.inputs), 50_000 + draw)
            seen = all_effects(subject, sample, low, high, world.direction, evidence, deviation=deviation)
            asked = sizeable & np.isfinite(seen.effect)
            held.append(((seen.low <= true) & (true <= seen.high))[asked].astype(np.float64))
        name = f"{stage}.{world.views[at].name}-{world.views[at + 1].name}.coverage"
        unit = f"share of 95 % intervals from {config.chunks} rows that hold the effect; interval over edges and draws"
        yield of_interval(name, bootstrap(held), unit, "up", aim=COVERAGE_AIM)
