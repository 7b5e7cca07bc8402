"""A graph among the latents of a representation, by causal discovery, beside the world's known graph.

Each factor is stood for by its own latent, and discovery runs on these latents alone. What it finds is an estimate:
beside it stand the same rows resampled, latents whose rows were shuffled each by itself, and the factors themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from concept_graphs.edges.discovery import of_library, quiet
from probes.errors import WorkbenchError
from probes.worlds.world import Flags

Floats = NDArray[np.float64]
Method = Literal["pc", "grasp"]
METHODS: dict[Method, str] = {"pc": "PC", "grasp": "GRaSP"}

MOST_ROWS = 2000
MOST_COLUMNS = 16  # a picture of more cannot be read, and the search becomes long
ROUNDS = 8  # of resampled and of shuffled rows
ALPHA, ORDER = 0.01, 3


class LatentGraph(NamedTuple):
    """Graphs over the factors that have a latent. `marks[a, b]`: an edge of `a` and `b`, which points to `b` unless
    `marks[b, a]` is true too: then its direction is open.

    `known`: the world's own, `cause effect`; `of_factors`: what the same method finds on the factors; `frequency`: how
    often an edge of either direction comes back on resampled rows; `shuffled`: mean number of edges without any
    relation; `unmatched`: factors without a latent.
    """

    method: Method
    names: list[str]
    known: Flags
    marks: Flags
    of_factors: Flags
    frequency: Floats
    shuffled: float
    unmatched: list[str]

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
    method: Method = "pc",
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> LatentGraph:
    """The graph among the latents `matched` to each factor (−1: none) of `codes` `row latent`.

    Raises `WorkbenchError` where causal-learn is missing, or where too many or too few factors have a latent.
    """
    kept = [at for at, latent in enumerate(matched) if latent >= 0 and codes[:, latent].std() > 1e-9]
    if not 2 <= len(kept) <= MOST_COLUMNS:
        raise WorkbenchError(
            "no-latent-graph",
            "No graph is drawn among these latents",
            f"{len(kept)} factors have a latent that varies",
            f"Choose a cell in which 2 to {MOST_COLUMNS} have one.",
        )
    random = np.random.default_rng(seed)
    some = random.permutation(len(codes))[:MOST_ROWS]
    own, truth = codes[some][:, [matched[at] for at in kept]], factors[some][:, kept]
    found = searched(own, method, random, rounds=rounds, seed=seed)
    return LatentGraph(
        method=method,
        names=[names[at] for at in kept],
        known=known[np.ix_(kept, kept)],
        marks=found.marks,
        of_factors=discovered(truth, method, seed),
        frequency=found.frequency,
        shuffled=found.shuffled,
        unmatched=[name for at, name in enumerate(names) if at not in kept],
    )


class Search(NamedTuple):
    """What a method finds among columns: `marks`, `frequency` and `shuffled` as in a `LatentGraph`."""

    marks: Flags
    frequency: Floats
    shuffled: float


def searched(
    columns: Floats, method: Method, random: np.random.Generator, *, rounds: int = ROUNDS, seed: int = 0
) -> Search:
    """What a method finds among `row column`, on resampled rows, and where each column is shuffled by itself."""
    size = columns.shape[1]
    frequency, shuffled = np.zeros((size, size)), 0
    for _ in range(rounds):
        again = discovered(columns[random.integers(len(columns), size=len(columns))], method, seed)
        frequency += again | again.T
        alone = np.stack([random.permutation(column) for column in columns.T], axis=1)
        shuffled += len(joined(discovered(alone, method, seed)))
    return Search(discovered(columns, method, seed), frequency / max(1, rounds), shuffled / max(1, rounds))


def discovered(columns: Floats, method: Method, seed: int = 0) -> Flags:
    """What a method finds among `row column`, as `marks` of a `LatentGraph`."""
    if method == "grasp":
        search = of_library("causallearn.search.PermutationBased.GRaSP", "grasp")
        with quiet(seed):
            ends = search(columns, verbose=False).graph
    else:
        search = of_library("causallearn.search.ConstraintBased.PC", "pc")
        with quiet(seed):
            ends = search(columns, ALPHA, "fisherz", max_k=ORDER, show_progress=False).G.graph
    # The library's mark at (a, b) is the end at a: a tail is −1, an arrowhead 1, and 0 where they are not joined.
    joined_ends = (ends != 0) & (ends.T != 0)
    return np.asarray(joined_ends & ~((ends == 1) & (ends.T == -1)))


def joined(marks: Flags) -> list[tuple[int, int]]:
    """Pairs with an edge in either direction, each once."""
    either = np.triu(marks | marks.T, k=1)
    return [(int(a), int(b)) for a, b in np.argwhere(either)]


def sentences(found: LatentGraph) -> list[str]:
    """What was found, beside the truth, the factors themselves and chance."""
    called, known = METHODS[found.method], set(joined(found.known))
    right = [pair for pair in found.pairs if pair in known]
    pointing = [(a, b) for a, b in right if found.marks[a, b] != found.marks[b, a]]
    true_way = sum(bool(found.known[a, b] == found.marks[a, b]) for a, b in pointing)
    others = len(found.pairs) - len(right)
    said = [
        f"Among the latents {called} joins {len(right)} of the {len(known)} pairs joined in the world, {others} more."
    ]
    if not known:
        said = [f"In the world no factor causes another; among the latents {called} joins {others} pairs."]
    if pointing:
        said.append(f"It directs {len(pointing)} of the {len(right)} right ones, {true_way} of them the true way.")
    on_factors = joined(found.of_factors)
    said.append(
        f"On the factors themselves it joins {sum(pair in known for pair in on_factors)} true pairs and "
        f"{sum(pair not in known for pair in on_factors)} others; among shuffled latents {found.shuffled:.1f} pairs."
    )
    if found.pairs:
        often = [float(found.frequency[pair]) for pair in found.pairs]
        said.append(f"On resampled rows its edges come back {min(often):.0%} to {max(often):.0%} of the time.")
    if found.unmatched:
        said.append(f"Without a latent of their own: {', '.join(found.unmatched)}.")
    return [*said, "Both methods judge by linear dependence: what is bent can be missed. An estimate, not the truth."]
