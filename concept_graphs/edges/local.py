"""One target with its candidate sources: the small problem that regressions and causal discovery solve per target.

Candidates are screened by correlation first, and a problem holds the moments of its few columns alone, so what is in
memory never depends on how many rows or latents there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from concept_graphs.edges.proposal import Proposed, predicted_effect
from probes.hierarchy.codes import PairedCodes
from probes.hierarchy.fit_maps import MapConfig, candidates_of

SHOWN_ROWS = 20_000  # rows of one problem that are ever written out densely
JITTER = 1e-3


@dataclass(frozen=True)
class Local:
    """A target and its candidates, `source` `candidate`, best correlated first, over `rows` rows.

    `among`: correlations of the candidates, `candidate candidate`; `with_target`: of each with the target.
    """

    target: int
    source: np.ndarray
    among: np.ndarray
    with_target: np.ndarray
    rows: int


Solve = Callable[[Local], np.ndarray]
"""Weights `candidate` in s.d. of the target per s.d. of the source; a candidate of weight 0 is no edge."""


def local_problems(codes: PairedCodes, config: MapConfig, targets: int | None = None) -> Iterator[Local]:
    """The problem of every eligible target, or of the `targets` whose best candidate promises the largest effect."""
    every, candidates, correlations = candidates_of(codes, config)
    repeated = np.repeat(every, candidates.shape[1])
    r = correlations.of_pairs(candidates.ravel(), repeated).reshape(candidates.shape)
    chosen = np.arange(len(every))
    if targets is not None and len(every) > targets:
        best = predicted_effect(codes, candidates.ravel(), repeated, r.ravel()).reshape(r.shape).max(axis=1)
        chosen = np.sort(np.argsort(-best, kind="stable")[:targets])
    low = codes.low.tocsc()
    mean, deviation = _moments(low)
    for at in chosen:
        order = np.argsort(-r[at], kind="stable")
        source, with_target = candidates[at][order], r[at][order].astype(np.float64)
        columns = low[:, source]
        among = (columns.T @ columns).toarray() / low.shape[0] - np.outer(mean[source], mean[source])
        among /= np.outer(deviation[source], deviation[source])
        np.fill_diagonal(among, 1.0)
        yield Local(int(every[at]), source, among, with_target, low.shape[0])


def proposed_by(codes: PairedCodes, problems: Iterable[Local], solve: Solve) -> Proposed:
    """Edges of positive weight, ranked by the effect of ablating the source that the weight predicts."""
    parts = [(problem, solve(problem)) for problem in problems]
    kept = [(problem, weight, weight > 0) for problem, weight in parts]
    source = _joined([problem.source[on] for problem, _, on in kept], np.int64)
    target = _joined([np.full(on.sum(), problem.target) for problem, _, on in kept], np.int64)
    weight = _joined([weight[on] for _, weight, on in kept], np.float64)
    r = _joined([problem.with_target[on] for problem, _, on in kept], np.float64)
    score = predicted_effect(codes, source, target, weight)
    order = np.argsort(-score, kind="stable")
    return Proposed(*(part[order] for part in (source, target, score, weight, r, np.ones(len(order)))))


def explained(problem: Local, weight: np.ndarray) -> float:
    """R² of the target under these weights, adjusted for the number of candidates they were chosen from."""
    left = 1 - 2 * weight @ problem.with_target + weight @ problem.among @ weight
    return float(1 - left * (problem.rows - 1) / max(problem.rows - len(weight) - 1, 1))


def dense_rows(codes: PairedCodes, problem: Local, seed: int) -> np.ndarray:
    """Standardised columns of the candidates and, last, the target: `row column`, evenly spaced rows.

    A thousandth of a standard deviation of noise is added: Fisher's z cannot invert the correlations of columns that
    determine each other, as parts and a whole without noise do.
    """
    rows = np.linspace(0, problem.rows - 1, min(problem.rows, SHOWN_ROWS)).astype(np.int64)
    low, high = codes.low[rows][:, problem.source], codes.high[rows][:, [problem.target]]
    found = sparse.hstack([low, high]).toarray().astype(np.float64)
    found = (found - found.mean(axis=0)) / np.maximum(found.std(axis=0), 1e-12)
    return np.asarray(found + JITTER * np.random.default_rng([seed, problem.target]).normal(size=found.shape))


def refitted(problem: Local, kept: Sequence[int]) -> np.ndarray:
    """Least-squares weights of the `kept` candidates, 0 for the rest, `candidate`."""
    weight, on = np.zeros(len(problem.source)), np.array(sorted(kept), dtype=np.int64)
    if len(on):
        weight[on] = np.linalg.lstsq(problem.among[np.ix_(on, on)], problem.with_target[on], rcond=1e-8)[0]
    return weight


def _moments(codes: sparse.csc_matrix) -> tuple[np.ndarray, np.ndarray]:
    mean = np.asarray(codes.mean(axis=0)).ravel()
    square = np.asarray(codes.multiply(codes).mean(axis=0)).ravel()
    return mean, np.sqrt(np.maximum(square - mean**2, 1e-12))


def _joined(parts: Sequence[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate(parts).astype(kind) if parts else np.zeros(0, dtype=kind)
