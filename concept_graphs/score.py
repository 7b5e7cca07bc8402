"""A recovered graph against a known truth: which latent is which concept, on which level, and which edges are right.

Concepts are matched to latents one to one on rows of which none is scored. An edge is right when its ends are the
matches of a concept and of a part of it; an edge with an end that matches nothing is wrong. Average precision is
given over pairs of matched latents, as in reports of simulations, and over all pairs of latents, which is harder
where a dictionary is wider than the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from concept_graphs.graph import ConceptGraph
from probes.metrics.recovery import absorption_of_wholes, correlations, match
from probes.worlds.world import Flags

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Learned = Sequence[sparse.csr_matrix]  # per level, lowest first, `row latent`
Known = Sequence[NDArray[np.float32]]  # the same of the truth, `row concept`
UNPROPOSED = -np.inf
MOST_THRESHOLDS = 400


class PairScore(NamedTuple):
    """Edges between two levels. `chance`: the average precision of a random order; `kept`: edges drawn, of any latents.

    `shd`: concept pairs that differ plus drawn edges with an unmatched end; levels leave an edge one direction, so
    that no reversal exists.
    """

    average_precision: float
    average_precision_all: float
    chance: float
    precision: float
    recall: float
    f1: float
    shd: int
    true: int
    kept: int


def matched_levels(truth: Known, learned: Learned) -> tuple[Indices, ...]:
    """Per level, `concept`: the latent of the same level that stands for each concept, −1 for none. Hungarian on
    |Pearson|; give rows that nothing is scored on."""
    return tuple(match(correlations(*both)) for both in zip(truth, learned, strict=True))


def level_hits(truth: Known, learned: sparse.csr_matrix, level_of: Indices) -> Flags:
    """Whether each concept, lowest level first, lies on its own level: all concepts are matched to all latents at
    once, `row latent`, and `level_of` says on which level a latent is drawn."""
    own = np.concatenate([np.full(part.shape[1], at) for at, part in enumerate(truth)])
    chosen = match(correlations(np.concatenate(list(truth), axis=1), learned))
    return np.asarray((chosen >= 0) & (level_of[np.maximum(chosen, 0)] == own))


def table_of(source: NDArray[np.int64], target: NDArray[np.int64], value: Floats, shape: tuple[int, int]) -> Floats:
    """A list of edges as `high low`; what is not in it is −∞."""
    table = np.full(shape, UNPROPOSED)
    table[target, source] = value
    return table


def table_of_graph(graph: ConceptGraph, low: str, high: str, shape: tuple[int, int], by: str = "effect") -> Floats:
    """The edges of a graph between two of its levels, `high low` latents, by |column|; −∞ where there is no edge or
    it was not tested."""
    index, level = np.array(graph.nodes["index"]), graph.level_index
    source, target = graph.ends
    mine = (level[source] == graph.level_of(low)) & (level[target] == graph.level_of(high))
    value = np.nan_to_num(np.abs(graph.edges.array(by)[mine]), nan=UNPROPOSED, posinf=np.inf)
    return table_of(index[source[mine]], index[target[mine]], value, shape)


def pair_score(parts: Flags, table: Floats, drawn: Flags, matched: tuple[Indices, Indices]) -> PairScore:
    """Edges between two levels against the truth.

    `parts`: `high low` concepts; `table`: how likely each pair `high low` of latents is an edge, in any unit, −∞ if
    not proposed; `drawn`: which pairs are taken as edges; `matched`: the latents of the lower and of the higher
    concepts, −1 for none.
    """
    low, high = matched
    true_latents = np.zeros(table.shape, dtype=np.bool_)
    target, source = np.nonzero(parts)
    both = (high[target] >= 0) & (low[source] >= 0)
    true_latents[high[target[both]], low[source[both]]] = True
    missed = int((~both).sum())
    hits = int((drawn & true_latents).sum())
    kept, true = int(drawn.sum()), int(parts.sum())
    seen = np.ix_(high[high >= 0], low[low >= 0])
    unseen = parts.size - table[seen].size
    return PairScore(
        average_precision=_average_precision(true_latents[seen], table[seen], missed, unseen),
        average_precision_all=_average_precision(true_latents, table, missed, missed),
        chance=true / parts.size,
        precision=hits / kept if kept else 0.0,
        recall=hits / true,
        f1=2 * hits / (kept + true) if kept + true else 1.0,
        shd=kept + true - 2 * hits,
        true=true,
        kept=kept,
    )


def _average_precision(true: Flags, table: Floats, missed: int, unseen: int) -> float:
    """scikit-learn's; `unseen` pairs of which `missed` are true have no latents, and come last as one tie."""
    from sklearn.metrics import average_precision_score

    labels = np.concatenate([true.ravel(), np.arange(unseen) < missed])
    values = np.concatenate([table.ravel(), np.full(unseen, UNPROPOSED)])
    # Ranks instead of values: unproposed pairs are −∞, and scikit-learn wants finite numbers.
    return float(average_precision_score(labels, np.unique(values, return_inverse=True)[1]))


def best_threshold(cases: Sequence[tuple[Flags, Floats, tuple[Indices, Indices]]]) -> float:
    """The value from which on pairs are drawn, so that the mean F1 over these cases is largest; choose it on other
    worlds than it is used on. Each case: (parts, table, matched), as for `pair_score`."""
    found = [table[np.isfinite(table)] for _, table, _ in cases]
    values = np.unique(np.concatenate(found)) if found else np.zeros(0)
    if len(values) > MOST_THRESHOLDS:
        values = np.unique(np.quantile(values, np.linspace(0, 1, MOST_THRESHOLDS)))
    means = [np.mean([_f1(parts, table >= value, matched) for parts, table, matched in cases]) for value in values]
    return float(values[int(np.argmax(means))]) if len(values) else np.inf


def _f1(parts: Flags, drawn: Flags, matched: tuple[Indices, Indices]) -> float:
    low, high = matched
    target, source = np.nonzero(parts)
    both = (high[target] >= 0) & (low[source] >= 0)
    hits = drawn[high[target[both]], low[source[both]]].sum()
    return float(2 * hits / max(drawn.sum() + parts.sum(), 1))


def absorption_across(
    truth: Known, learned: Learned, matched: Sequence[Indices], parts: Sequence[Flags]
) -> tuple[Floats, Floats]:
    """(absorbed, gap) per whole of any level, as `absorption_of_wholes` has them, where parts are on the level below:
    how often its latent is off while it and a part are on, and how much more often it is on while no part is. The
    gap is NaN where a whole never comes without its parts, as in a world of selection."""
    on = np.concatenate([codes > 0 for codes in truth], axis=1)
    fires = np.concatenate(
        [
            np.asarray((codes[:, np.maximum(chosen, 0)] != 0).toarray()) & (chosen >= 0)
            for codes, chosen in zip(learned, matched, strict=True)
        ],
        axis=1,
    )
    starts = np.cumsum([0, *(codes.shape[1] for codes in truth)])
    members = np.zeros((starts[-1], starts[-1]), dtype=np.bool_)
    for at, some in enumerate(parts):
        members[starts[at + 1] : starts[at + 2], starts[at] : starts[at + 1]] = some
    return absorption_of_wholes(on, fires, members)
