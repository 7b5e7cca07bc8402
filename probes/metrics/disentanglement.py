"""Does one code stand for one factor? Importances, gaps and interventional robustness, from codes beside known factors.

All take `codes` `row code` and `factors` `row factor` of the same rows and give numbers between 0 and 1, higher being
better. Definitions: DCI, Eastwood & Williams 2018; MIG, Chen et al. 2018; SAP, Kumar et al. 2018; IRS, Suter et al.
2019, with the conventions of disentanglement_lib (20 bins, the 99 % quantile as the largest deviation).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import entropy
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import mutual_info_score

Floats = NDArray[np.float64]
BINS = 20
LARGEST = 0.99
LEAST_VARIANCE = 1e-12


class DCI(NamedTuple):
    """Each code for one factor only, each factor in one code only, and the R² with which factors are predicted."""

    disentanglement: float
    completeness: float
    informativeness: float


def dci(codes: Floats, factors: Floats, *, held_out: float = 0.25, seed: int = 0) -> DCI:
    """DCI with importances from boosted trees, one forest per factor; the R² is of the last rows, unseen.

    Raises `ValueError` with fewer than two codes or factors, or a factor that is constant among the unseen rows.
    """
    if codes.shape[1] < 2 or factors.shape[1] < 2:
        raise ValueError("DCI compares at least two codes and two factors")
    cut = int(len(codes) * (1 - held_out))
    if (factors[cut:].std(axis=0) < LEAST_VARIANCE).any():
        raise ValueError("a factor is constant among the held-out rows; draw more rows")
    trees = [GradientBoostingRegressor(random_state=seed).fit(codes[:cut], factor[:cut]) for factor in factors.T]
    score = [tree.score(codes[cut:], factor[cut:]) for tree, factor in zip(trees, factors.T, strict=True)]
    importance = np.stack([tree.feature_importances_ for tree in trees], axis=1)
    return DCI(*dci_of(importance), float(np.clip(score, 0, 1).mean()))


def dci_of(importance: Floats) -> tuple[float, float]:
    """(disentanglement, completeness) of importances `code factor`, none negative.

    disentanglement = Σ_i m_i (1 − H_D(I_i / Σ_j I_ij)), m_i the share of all importance that code i has;
    completeness = mean_j (1 − H_K(I_j / Σ_i I_ij)). Codes without any importance weigh nothing.
    """
    n_codes, n_factors = importance.shape
    used = importance[importance.sum(axis=1) > 0]
    if not len(used):
        return 0.0, 0.0
    of_codes = 1 - entropy(used, axis=1) / np.log(n_factors)
    known = importance[:, importance.sum(axis=0) > 0]
    of_factors = 1 - entropy(known, axis=0) / np.log(n_codes)
    return float(np.average(of_codes, weights=used.sum(axis=1))), float(of_factors.sum() / n_factors)


def mutual_information_gap(codes: Floats, factors: Floats) -> float:
    """MIG: mean over factors of (I of the best code − I of the next) / H(factor), codes and factors in 20 bins."""
    code_bins, factor_bins = ([_binned(column) for column in of.T] for of in (codes, factors))
    gaps = []
    for factor in factor_bins:
        shared = sorted((mutual_info_score(factor, code) for code in code_bins), reverse=True)
        own = mutual_info_score(factor, factor)
        gaps.append((shared[0] - (shared[1] if len(shared) > 1 else 0.0)) / own if own > 0 else 0.0)
    return float(np.mean(gaps))


def separated_attribute_predictability(codes: Floats, factors: Floats) -> float:
    """SAP for numeric factors: mean over factors of the gap between the two largest squared correlations."""
    z, h = (of - of.mean(axis=0) for of in (factors, codes))
    spread = np.outer((z**2).mean(axis=0), (h**2).mean(axis=0))
    squared = np.divide((z.T @ h / len(z)) ** 2, spread, out=np.zeros_like(spread), where=spread > LEAST_VARIANCE)
    ordered = np.sort(squared, axis=1)
    return float((ordered[:, -1] - (ordered[:, -2] if ordered.shape[1] > 1 else 0.0)).mean())


def interventional_robustness(codes: Floats, factors: Floats) -> float:
    """IRS: per code 1 − (how far it strays from its mean while its best factor is held) / (how far it ever strays).

    Averaged over codes by how far each ever strays. Factors of more than 20 values are put into 20 bins.
    """
    largest = np.abs(codes - codes.mean(axis=0)).max(axis=0)
    if not largest.sum() > 0:
        return 0.0
    held = []
    for factor in factors.T:
        values = _binned(factor) if len(np.unique(factor)) > BINS else factor
        groups = [codes[values == value] for value in np.unique(values)]
        held.append(np.mean([np.quantile(np.abs(g - g.mean(axis=0)), LARGEST, axis=0) for g in groups], axis=0))
    alive = largest > 0
    robust = 1 - np.min(held, axis=0)[alive] / largest[alive]
    return float(np.average(robust, weights=largest[alive]))


def _binned(column: Floats) -> NDArray[np.int64]:
    """Which of 20 equal bins between its least and greatest value each row falls into."""
    return np.asarray(np.digitize(column, np.histogram(column, BINS)[1][:-1]), dtype=np.int64)
