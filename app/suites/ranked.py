"""Rankings of pairs scored as graphs: cut where F1 is best on other worlds, given as rows over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from app.suites.identified import Floats, Indices, Pair, Recovery
from app.suites.rows import FEW_SEEDS, Row, of_interval
from concept_graphs.distances import ancestor_aid, shd_pair, sid, whole_graph
from concept_graphs.methods import CHANCE, INTERVENTION, TESTED, TRUE_VARIABLE
from concept_graphs.score import PairScore, best_threshold, pair_score
from probes.metrics.intervals import seeds_interval
from probes.metrics.metric import Better
from probes.worlds.world import Flags

# figure: field of a score, unit, better
FIGURES: dict[str, tuple[str, str, Better]] = {
    "ap": ("average_precision", "average precision over pairs of matched latents", "up"),
    "ap_all": ("average_precision_all", "average precision over all pairs of latents", "up"),
    "f1": ("f1", "F1, cut on other worlds", "up"),
    "precision": ("precision", "precision, cut on other worlds", "up"),
    "recall": ("recall", "recall, cut on other worlds", "up"),
    "shd": ("shd", "edges that differ, cut on other worlds", "down"),
}
Cuts = dict[tuple[int, str], float]


class Ranking(NamedTuple):
    """How sure a method is of every pair of latents `high low`, and which pairs are true."""

    parts: Flags
    table: Floats
    matched: tuple[Indices, Indices]

    def score(self, cut: float) -> PairScore:
        return pair_score(self.parts, self.table, self.drawn(cut), self.matched)

    def drawn(self, cut: float) -> Flags:
        """Pairs taken as edges; a pair that was not proposed never is."""
        return np.asarray((self.table >= cut) & np.isfinite(self.table))


def rankings_of(pair: Pair, tests: float) -> dict[str, Ranking]:
    """By method: every proposal; the effects of the first `tests` pairs per target that it proposes; the effects of all
    pairs; and, on learned codes, of the true variables in place of their latents."""
    found = {name: Ranking(pair.parts, table, pair.matched) for name, table in pair.tables.items()}
    most = round(tests * pair.tested.table.shape[0])
    for name, table in pair.tables.items():
        effects = np.where(_first(table, most), pair.tested.table, -np.inf)
        found[name + TESTED] = Ranking(pair.parts, effects, pair.matched)
    found[INTERVENTION] = Ranking(pair.parts, pair.tested.table, pair.matched)
    if pair.bound is not None:
        found[TRUE_VARIABLE] = Ranking(pair.parts, pair.bound.table, pair.bound_matched)
    return found


def _first(table: Floats, most: int) -> Flags:
    flat = np.argsort(-table, axis=None, kind="stable")[:most]
    chosen = np.zeros(table.size, dtype=np.bool_)
    chosen[flat] = True
    return chosen.reshape(table.shape) & np.isfinite(table)


def cuts_on(others: Sequence[Recovery], tests: float) -> Cuts:
    """The cut of every (pair, method) that is best on these worlds."""
    found: Cuts = {}
    for at in range(len(others[0].pairs)):
        by_world = [rankings_of(other.pairs[at], tests) for other in others]
        for method in by_world[0]:
            found[at, method] = best_threshold([world[method] for world in by_world])
    return found


def scored_rows(
    stage: str,
    found: Sequence[Recovery],
    cuts: Cuts,
    tests: float,
    aims: Mapping[str, float],
    baseline: str,
) -> Iterator[Row]:
    """Rows of every pair and method. `aims`: by the end of a row's name; `baseline`: whose figure stands beside."""
    for at, first in enumerate(found[0].pairs):
        scores = {
            method: [rankings_of(one.pairs[at], tests)[method].score(cuts[at, method]) for one in found]
            for method in rankings_of(first, tests)
        }
        for method, seeds in scores.items():
            for figure, (field, unit, better) in FIGURES.items():
                if method.endswith(TESTED) and figure.startswith("ap"):
                    continue  # a ranking that stops after so many pairs
                name = f"{stage}.{first.name}.{method}.{figure}"
                beside = scores[baseline] if baseline in scores and method != baseline else None
                yield from seeds_row(
                    name,
                    [float(getattr(score, field)) for score in seeds],
                    unit,
                    better,
                    baseline=None if beside is None else float(np.mean([getattr(score, field) for score in beside])),
                    aim=next((aim for end, aim in aims.items() if name.endswith(end)), None),
                )
        yield from seeds_row(
            f"{stage}.{first.name}.{CHANCE}", [one.chance for one in scores[INTERVENTION]], "AP of a random order", ""
        )


def difference_row(
    name: str,
    found: Sequence[Recovery],
    at: int,
    methods: tuple[str, str],
    figure: str,
    cuts: Cuts,
    tests: float,
    aim: float | None,
) -> Iterator[Row]:
    """How much better the first method is than the second, paired by seed."""
    field, unit, better = FIGURES[figure]
    values = []
    for one in found:
        rankings = rankings_of(one.pairs[at], tests)
        if not all(method in rankings for method in methods):
            return
        first, second = (float(getattr(rankings[m].score(cuts[at, m]), field)) for m in methods)
        values.append(first - second)
    yield from seeds_row(name, values, f"difference of {unit}, paired by world", better, aim=aim)


def distance_rows(
    stage: str, found: Sequence[Recovery], cuts: Cuts, tests: float, methods: Sequence[str]
) -> Iterator[Row]:
    """The whole graph of all levels: SHD, and with gadjid SID and ancestor-AID as shares of all ordered pairs."""
    for method in methods:
        pairs = []
        for one in found:
            drawn = [
                _of_concepts(rankings_of(pair, tests)[method], cuts[at, method]) for at, pair in enumerate(one.pairs)
            ]
            true = whole_graph([pair.parts for pair in one.pairs], one.direction)
            pairs.append((true, whole_graph(drawn, one.direction)))
        name = f"{stage}.graph.{method}"
        yield from seeds_row(f"{name}.shd", [float(shd_pair(*both)) for both in pairs], "pairs of concepts", "down")
        if find_spec("gadjid") is not None:
            for figure, distance in (("sid", sid), ("ancestor_aid", ancestor_aid)):
                values = [distance(*both).share for both in pairs]
                yield from seeds_row(f"{name}.{figure}", values, "share of ordered pairs, by gadjid", "down")


def _of_concepts(ranking: Ranking, cut: float) -> Flags:
    """Edges between matched latents as edges `high low` between their concepts."""
    low, high = ranking.matched
    drawn = ranking.drawn(cut)[np.ix_(np.maximum(high, 0), np.maximum(low, 0))]
    return np.asarray(drawn & (high >= 0)[:, None] & (low >= 0)[None])


def seeds_row(
    name: str,
    values: Sequence[float],
    unit: str,
    better: Better,
    *,
    baseline: float | None = None,
    aim: float | None = None,
    note: str = "",
) -> Iterator[Row]:
    """The mean over seeds with its interval over seeds and, while they are few, the single values."""
    if len(values) == 1:
        yield Row(name=name, value=values[0], unit=unit, better=better, baseline=baseline, aim=aim, note=note)
        return
    found = seeds_interval([[value] for value in values])
    row = of_interval(name, found, f"{unit}; interval over seeds", better, baseline=baseline, aim=aim, note=note)
    yield row
    if len(values) < FEW_SEEDS:
        for seed, value in enumerate(values):
            single = {"name": f"{name}.seed-{seed}", "value": value, "low": None, "high": None, "n": 1, "seeds": 1}
            yield row.model_copy(update=single)
