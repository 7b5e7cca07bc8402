"""Proposal by non-negative lasso: the candidates that a price on weights leaves, its size chosen per target."""

from __future__ import annotations

import numpy as np

from concept_graphs.edges.local import Local
from concept_graphs.edges.regression import RegressionProposal


class LassoProposal(RegressionProposal):
    """Standardised weights, none negative, at the point of scikit-learn's path with the least BIC.

    Rows of one chunk are no independent draws, so BIC prices edges too low rather than too high: edges of little
    weight stay, at the end of the ranking.
    """

    def weights(self, problem: Local) -> np.ndarray:
        """Weights `candidate` at the least BIC; the noise is that of non-negative least squares, the path's end."""
        from sklearn.linear_model import lars_path_gram

        _, _, path = lars_path_gram(
            problem.rows * problem.with_target,
            problem.rows * problem.among,
            n_samples=problem.rows,
            method="lasso",
            positive=True,
        )
        left = 1 - 2 * problem.with_target @ path + np.einsum("ck,cd,dk->k", path, problem.among, path)
        left = np.maximum(left, 1e-9)
        free = np.count_nonzero(path, axis=0)
        noise = left[-1] * problem.rows / max(problem.rows - len(problem.source) - 1, 1)
        bic = problem.rows * left / noise + np.log(problem.rows) * free
        return np.asarray(path[:, int(np.argmin(bic))])
