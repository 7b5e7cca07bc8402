"""Scores as CausalVerse's released evaluation computes them, for comparison with its tables, beside our strict ones.

None of these is to be trusted by itself; each says in its docstring why it comes out too high, or hangs on the order
or the scale of what it is given. What the release leaves to an unseeded generator is seeded here.
"""

from __future__ import annotations

import warnings
from typing import Literal, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from probes.metrics.factor_recovery import Floats, check_pairs, factor_recovery, standardised
from probes.metrics.information import PENALTIES, information
from probes.metrics.recovery import correlations, match

Protocol = Literal["strict", "causalverse-2025"]
WIDTHS = tuple(float(width) for width in np.logspace(-2, 2, 4))  # of the kernel, whatever the number of codes
FOLDS = 3
JITTER = 1e-6
ITERATIONS = 1000
SPLIT_SEED = 42  # of the release
BEST_FACTORS = 4


class VideoR2(NamedTuple):
    """R² on the rows held out: the best one over the iterations, which is what is published, and the last one."""

    best: float
    last: float


def scores(
    codes: Floats, factors: Floats, protocol: Protocol = "strict", *, seed: int = 0, iterations: int = ITERATIONS
) -> dict[str, float]:
    """Every score of `codes` `row code` for `factors` `row factor`, by name.

    `strict`: matched and fitted on some rows and scored on others, by factor, averaged; the chance level beside it.
    `causalverse-2025`: what CausalVerse's scripts print, the network of `video_r2` trained for `iterations`; its names
    begin with `published`.
    """
    if protocol == "strict":
        found = factor_recovery(codes, factors, seed=seed)
        return {
            "mcc": found.mcc,
            "mcc_spearman": found.mcc_spearman,
            "mcc_chance": found.chance,
            "mcc_spearman_chance": found.chance_spearman,
            "r2_linear": float(information(codes, factors, by="linear", seed=seed).mean()),
            "r2_kernel": float(information(codes, factors, by="kernel", seed=seed).mean()),
        }
    video = video_r2(codes, factors, iterations=iterations)
    return {
        "published_mcc": image_mcc(codes, factors, seed=seed),
        "published_r2": image_r2(codes, factors),
        "published_mcc_video": video_mcc(codes, factors),
        "published_r2_video": video.best,
        "published_r2_video_last": video.last,
    }


def image_mcc(codes: Floats, factors: Floats, *, dims: int | None = None, seed: int = 0) -> float:
    """MCC of the first `dims` factors with the first `dims` codes (as many as there are codes, unless said).

    Optimistic: factors beyond are not asked for, so that two good codes for four factors score 1 where the strict MCC
    is 1/2, and it is matched on the rows it is scored on. Unsteady: columns of noise stand in for factors where codes
    are more, and noise of 1e-6 is added to all columns, which drowns codes of a small scale and lends a dead one the
    correlation of noise.
    """
    check_pairs(codes, factors)
    random = np.random.default_rng([seed, *b"published"])  # a stream of its own: data is often drawn from plain seeds
    width = codes.shape[1] if dims is None else dims
    h, z = codes[:, :width].astype(np.float64), factors[:, :width].astype(np.float64)
    padded = np.concatenate([z, random.normal(size=(len(z), max(h.shape[1] - z.shape[1], 0)))], axis=1)
    h, padded = (part + JITTER * random.normal(size=part.shape) for part in (h, padded))
    found = correlations(standardised(padded), standardised(h))
    chosen = match(found)
    return float(found[np.arange(len(chosen)), chosen][: z.shape[1]].mean())


def image_r2(codes: Floats, factors: Floats) -> float:
    """R² of a kernel ridge fitted on the first half of the rows, scored on the second, averaged over factors.

    Depends on the order of the rows, which nobody shuffles, neither here nor for its three folds; all factors share
    one penalty and one width. Codes and factors are standardised on the first half (our reading: the release lacks
    the file).
    """
    check_pairs(codes, factors, least=2 * FOLDS)
    cut = len(codes) // 2
    x, y = (StandardScaler().fit(part[:cut]).transform(part) for part in (codes, factors))
    search = GridSearchCV(KernelRidge(kernel="rbf"), {"alpha": PENALTIES, "gamma": WIDTHS}, cv=FOLDS)
    return float(r2_score(y[cut:], search.fit(x[:cut], y[:cut]).predict(x[cut:])))


def video_mcc(codes: Floats, factors: Floats, *, best: int = BEST_FACTORS) -> float:
    """Mean |Pearson| of the `best` factors that fare best, each with its best code, frames of all videos as rows.

    Optimistic three times over: factors that no code stands for are left out, one code may stand for all that count,
    and neither is held out. `codes` `row code` or `video frame code`, `factors` likewise.
    """
    h, z = _frames(codes), _frames(factors)
    check_pairs(h, z)
    return float(np.sort(correlations(standardised(z), standardised(h)).max(axis=1))[-best:].mean())


def video_r2(codes: Floats, factors: Floats, *, iterations: int = ITERATIONS) -> VideoR2:
    """R² of a network without any nonlinearity on a fifth of all frames, after each of its iterations.

    `best` is chosen on the very frames it is measured on, and so at least `last`: optimistic. Frames of one video lie
    on both sides of the split, so that either is too high for codes that tell videos apart. `codes` `row code` or
    `video frame code`, `factors` likewise.
    """
    h, z = _frames(codes), _frames(factors)
    check_pairs(h, z, least=10)
    x, unseen, y, truth = train_test_split(h, z, test_size=0.2, random_state=SPLIT_SEED)
    of_codes, of_factors = MinMaxScaler().fit(x), MinMaxScaler().fit(y)
    x, unseen, y, truth = *map(of_codes.transform, (x, unseen)), *map(of_factors.transform, (y, truth))
    model = MLPRegressor(
        hidden_layer_sizes=(256,), activation="identity", max_iter=1, warm_start=True, random_state=SPLIT_SEED
    )
    reached = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # one iteration at a time never converges
        for _ in range(iterations):
            predicted = model.fit(x, y if y.shape[1] > 1 else y.ravel()).predict(unseen)
            reached.append(float(r2_score(truth, predicted.reshape(truth.shape))))
    return VideoR2(max(reached), reached[-1])


def _frames(table: Floats) -> Floats:
    """`video frame column` as `row column`."""
    return table.reshape(-1, table.shape[-1]) if table.ndim == 3 else table
