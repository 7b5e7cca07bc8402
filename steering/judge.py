"""A judge that reads words only: does this stretch of text read like one in which the concept is on?

It is a logistic regression on word and word-pair counts. It learns from training text marked on or off,
never sees an activation or a code, and is scored on held-out text before anyone trusts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

STRENGTHS = (1.0, 10.0, 100.0)
FOLDS = 3
FEWEST = 10
WORD = r"(?u)[^\W_]+|[^\w\s]"


class Windows(NamedTuple):
    """Stretches of text: `text` and the document each comes from, both `window`."""

    text: list[str]
    document: np.ndarray


class Judge(NamedTuple):
    """`auroc`: on held-out windows; NaN where they hold too few of one kind."""

    model: LogisticRegression
    auroc: float


class JudgeBench:
    """Trains one judge per concept over windows that are vectorised once."""

    def __init__(self, train: Windows, held_out: Windows) -> None:
        self.vectoriser = TfidfVectorizer(
            token_pattern=WORD, ngram_range=(1, 2), min_df=3, sublinear_tf=True, max_features=200_000
        )
        self.train: csr_matrix = self.vectoriser.fit_transform(train.text)
        self.held_out: csr_matrix = self.vectoriser.transform(held_out.text)
        self.groups = train.document

    def judge(self, on: np.ndarray, held_out_on: np.ndarray) -> Judge | None:
        """A judge from marks per window: 1 on, 0 off, −1 in doubt and left out. None with too few of either.

        The regularisation is chosen by cross-validation over whole training documents.
        """
        known = on >= 0
        x, y, groups = self.train[known], on[known], self.groups[known]
        if min(y.sum(), (1 - y).sum()) < FEWEST or len(np.unique(groups[y == 1])) < FOLDS:
            return None
        best = max(STRENGTHS, key=lambda strength: _validated(x, y, groups, strength))
        model = _model(best).fit(x, y)
        held = held_out_on >= 0
        truth = held_out_on[held]
        enough = min(truth.sum(), (1 - truth).sum()) >= FEWEST
        area = roc_auc_score(truth, model.decision_function(self.held_out[held])) if enough else np.nan
        return Judge(model, float(area))

    def read(self, judge: Judge, texts: Sequence[str]) -> np.ndarray:
        """Log odds that each text is one with the concept on, `text`."""
        return np.asarray(judge.model.decision_function(self.vectoriser.transform(texts)))


def _model(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, class_weight="balanced", max_iter=300, solver="liblinear")


def _validated(x: csr_matrix, y: np.ndarray, groups: np.ndarray, strength: float) -> float:
    """Mean AUROC over folds of whole documents; folds with one kind only are skipped."""
    scores = []
    for fit, test in GroupKFold(FOLDS).split(x, y, groups):
        if 0 < y[test].sum() < len(test) and 0 < y[fit].sum() < len(fit):
            scores.append(roc_auc_score(y[test], _model(strength).fit(x[fit], y[fit]).decision_function(x[test])))
    return float(np.mean(scores)) if scores else 0.0
