"""How much of a world's truth a dictionary found: the MCC family, and absorption where parts are known.

Concepts are matched to latents one to one (Hungarian) on rows that are not the ones scored. Two conventions
of the mean correlation coefficient: |Pearson| of the codes (identifiability papers), and |cosine| of the
decoder's rows with the true directions (SAELens' synthetic benchmark). A dictionary may have more latents
than there are concepts; concepts without a latent count as 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from probes.metrics.metric import Metric

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Recovered:
    """Per concept (`concept`): |Pearson| and |cosine| with its own match of either kind, and precision,
    recall and F1 of the latent that codes matched as a detector. `best`: `latent`, the concept each latent's
    direction is nearest to. Per whole that has parts (`whole`): `absorbed` and `absorption_gap`."""

    correlation: Floats
    cosine: Floats
    precision: Floats
    recall: Floats
    f1: Floats
    best: NDArray[np.int64]
    absorbed: Floats
    absorption_gap: Floats


def match(score: Floats) -> NDArray[np.int64]:
    """For each concept of `concept latent` scores its latent in the best one-to-one match; −1 where the
    latents do not suffice."""
    chosen = np.full(len(score), -1, dtype=np.int64)
    concepts, latents = linear_sum_assignment(-score)
    chosen[concepts] = latents
    return chosen


def correlations(truth: NDArray[np.floating], codes: sparse.csr_matrix | Floats) -> Floats:
    """|Pearson| of each concept `row concept` with each latent `row latent`; 0 where one is constant.

    From raw moments, so that codes may stay sparse: columns far from 0 want centring first.
    """
    rows, exact, codes = len(truth), truth.astype(np.float64), codes.astype(np.float64)
    mean, other = exact.mean(axis=0), np.asarray(codes.mean(axis=0)).ravel()
    product = (codes.T @ exact).T / rows - np.outer(mean, other)
    spread = np.sqrt(np.maximum(np.square(exact).mean(axis=0) - mean**2, 0))
    squared = np.square(codes) if isinstance(codes, np.ndarray) else codes.multiply(codes)
    squares = np.asarray(squared.mean(axis=0)).ravel()
    scale = np.outer(spread, np.sqrt(np.maximum(squares - other**2, 0)))
    return np.abs(np.divide(product, scale, out=np.zeros_like(product), where=scale > 1e-9))


def recovered(
    matching: tuple[NDArray[np.float32], sparse.csr_matrix],
    scoring: tuple[NDArray[np.float32], sparse.csr_matrix],
    directions: tuple[NDArray[np.float32], NDArray[np.float32]],
    members: NDArray[np.bool_],
) -> Recovered:
    """Match on one sample and score on another.

    `matching`, `scoring`: (true codes `row concept`, learned codes `row latent`); `directions`: (true
    `concept d`, decoder rows `latent d`, any lengths); `members`: `concept concept`, (whole, part).
    """
    chosen = match(correlations(*matching))
    found = chosen >= 0
    truth, codes = scoring
    correlation = np.where(found, correlations(truth, codes)[np.arange(len(chosen)), chosen], 0.0)
    true_rows, rows = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in directions)
    cosine = np.abs(true_rows @ rows.T).astype(np.float64)
    nearest = match(cosine)
    cosine_matched = np.where(nearest >= 0, cosine[np.arange(len(nearest)), nearest], 0.0)
    on = truth > 0
    fires = np.asarray((codes[:, np.maximum(chosen, 0)] != 0).toarray()) & found
    both = (on & fires).sum(axis=0)
    precision = both / np.maximum(fires.sum(axis=0), 1)
    recall = both / np.maximum(on.sum(axis=0), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    absorbed, gap = absorption_of_wholes(on, fires, members)
    return Recovered(
        correlation, cosine_matched, precision, recall, f1, cosine.argmax(axis=0).astype(np.int64), absorbed, gap
    )


def absorption_of_wholes(
    on: NDArray[np.bool_], fires: NDArray[np.bool_], members: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """(absorbed, gap) of each whole, `whole`: how often its latent is off while it is on and a named part is
    on; and how much more often the latent is on when the whole is on alone.

    `on`, `fires`: `row concept`, the truth and its matched latents. The gap is NaN where the whole never was
    alone. Absorption proper is the gap: a latent that is missing fires in neither case.
    """
    absorbed, gaps = [], []
    for whole in np.flatnonzero(members.any(axis=1)):
        part = on[:, members[whole]].any(axis=1)
        with_part, alone = on[:, whole] & part, on[:, whole] & ~part
        together = fires[with_part, whole].mean() if with_part.any() else np.nan
        by_itself = fires[alone, whole].mean() if alone.any() else np.nan
        absorbed.append(1 - together)
        gaps.append(by_itself - together)
    return np.array(absorbed), np.array(gaps)


MCC = Metric(lambda seen: float(seen.correlation.mean()), "recovery", "mean |Pearson| of matched codes", "up", 0, 1)
MCC_DECODER = Metric(lambda seen: float(seen.cosine.mean()), "recovery", "mean |cosine| of matched rows", "up", 0, 1)
UNIQUENESS = Metric(
    lambda seen: len(np.unique(seen.best)) / min(len(seen.best), len(seen.correlation)),
    "recovery",
    "distinct nearest concepts per latent or concept, whichever are fewer",
    "up",
    0,
    1,
)
PRECISION = Metric(lambda seen: float(seen.precision.mean()), "recovery", "mean over matched concepts", "up", 0, 1)
RECALL = Metric(lambda seen: float(seen.recall.mean()), "recovery", "mean over matched concepts", "up", 0, 1)
F1 = Metric(lambda seen: float(seen.f1.mean()), "recovery", "mean over matched concepts", "up", 0, 1)
ABSORBED = Metric(
    lambda seen: float(np.nanmean(seen.absorbed)) if len(seen.absorbed) else 0.0,
    "recovery",
    "share of a whole's rows with a part in which its latent is off",
    "down",
    0,
    1,
)
ABSORPTION_GAP = Metric(
    lambda seen: float(np.nanmean(seen.absorption_gap)) if np.isfinite(seen.absorption_gap).any() else 0.0,
    "recovery",
    "latent on when the whole is alone, minus when a part is there",
    "down",
    -1,
    1,
)
