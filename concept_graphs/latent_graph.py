"""A graph among the latents of a representation, by causal discovery, beside the world's known graph.

Each factor is stood for by its own latent, and discovery runs on these latents alone. What it finds is an estimate:
beside it stand the same rows resampled, latents whose rows were shuffled each by itself, and the factors themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from concept_graphs.edges.library import quiet
from concept_graphs.latent_distances import marks_of
from concept_graphs.latent_methods import AUTO, METHODS, Discovery, Floats, method_among
from probes.errors import WorkbenchError
from probes.worlds.world import Flags

MOST_COLUMNS = 16  # a picture of more cannot be read, and the search becomes long


class LatentGraph(NamedTuple):
    """Graphs over the factors that have a latent. `marks[a, b]`: an edge of `a` and `b`, which points to `b` unless
    `marks[b, a]` is true too: then its direction is open.

    `known`: the world's own, `cause effect`; `of_factors`: what the same method finds on the factors; `frequency`: how
    often an edge of either direction comes back on resampled rows; `nulls`: what it finds where each latent is shuffled
    by itself, once per round; `unmatched`: factors without a latent.
    """

    method: str
    names: list[str]
    known: Flags
    marks: Flags
    of_factors: Flags
    frequency: Floats
    nulls: list[Flags]
    unmatched: list[str]

    @property
    def shuffled(self) -> float:
        """Mean number of edges without any relation."""
        return mean_edges(self.nulls)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Joined pairs, each once."""
        return joined(self.marks)


def latent_graph(
    codes: Floats,
    factors: Floats,
    matched: Sequence[int],
    known: Flags,
    names: Sequence[str],
    method: str = AUTO,
    *,
    rounds: int | None = None,
    seed: int = 0,
) -> LatentGraph:
    """The graph among the latents `matched` to each factor (−1: none) of `codes` `row latent`.

    Raises `WorkbenchError` for a method that there is not, where causal-learn is missing, or where too many or too few
    factors have a latent.
    """
    kept = [at for at, latent in enumerate(matched) if latent >= 0 and codes[:, latent].std() > 1e-9]
    if not 2 <= len(kept) <= MOST_COLUMNS:
        raise WorkbenchError(
            "no-latent-graph",
            "No graph is drawn among these latents",
            f"{len(kept)} factors have a latent that varies",
            f"Choose a cell in which 2 to {MOST_COLUMNS} have one.",
        )
    method = method_among(method, len(kept))
    search: Discovery = METHODS.load(method)
    random = np.random.default_rng(seed)
    some = random.permutation(len(codes))[: search.rows]
    own, truth = codes[some][:, [matched[at] for at in kept]], factors[some][:, kept]
    found = searched(own, method, random, rounds=rounds, seed=seed)
    return LatentGraph(
        method=method,
        names=[names[at] for at in kept],
        known=known[np.ix_(kept, kept)],
        marks=found.marks,
        of_factors=discovered(truth, method, seed),
        frequency=found.frequency,
        nulls=found.nulls,
        unmatched=[name for at, name in enumerate(names) if at not in kept],
    )


class Search(NamedTuple):
    """What a method finds among columns: `marks`, `frequency` and `nulls` as in a `LatentGraph`."""

    marks: Flags
    frequency: Floats
    nulls: list[Flags]

    @property
    def shuffled(self) -> float:
        """Mean number of edges without any relation."""
        return mean_edges(self.nulls)


def searched(
    columns: Floats, method: str, random: np.random.Generator, *, rounds: int | None = None, seed: int = 0
) -> Search:
    """What a method finds among `row column`, on resampled rows, and where each column is shuffled by itself.

    `rounds`: of either; without it as many as the method has.
    """
    size, times = columns.shape[1], METHODS.load(method).rounds if rounds is None else rounds
    frequency, nulls = np.zeros((size, size)), []
    for _ in range(times):
        again = discovered(columns[random.integers(len(columns), size=len(columns))], method, seed)
        frequency += again | again.T
        alone = np.stack([random.permutation(column) for column in columns.T], axis=1)
        nulls.append(discovered(alone, method, seed))
    return Search(discovered(columns, method, seed), frequency / max(1, times), nulls)


def discovered(columns: Floats, method: str, seed: int = 0) -> Flags:
    """What a method finds among `row column`, as `marks` of a `LatentGraph`; a function of the seed."""
    search: Discovery = METHODS.load(method_among(method, columns.shape[1]))
    with quiet(seed):
        return marks_of(search.search(columns))


def mean_edges(nulls: Sequence[Flags]) -> float:
    """Edges of a graph, on average over several."""
    return sum(len(joined(one)) for one in nulls) / max(1, len(nulls))


def joined(marks: Flags) -> list[tuple[int, int]]:
    """Pairs with an edge in either direction, each once."""
    either = np.triu(marks | marks.T, k=1)
    return [(int(a), int(b)) for a, b in np.argwhere(either)]
