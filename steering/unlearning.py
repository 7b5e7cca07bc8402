"""Unlearning in the terms of UnlearnCanvas: is the target gone, and is the rest still there?

Unlearning accuracy (UA): of pictures asked to show the target, the share where a judge no longer names it. In-kind
retain accuracy (IRA): of pictures asked to show another of the same kind, the share still named rightly.
Cross-kind retain accuracy (CRA): the share of all pictures of which what they show of the *other* kind is still
named rightly: things, where a style was unlearnt; styles, where a thing was.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from probes.metrics.intervals import Interval, bootstrap

Truths = NDArray[np.bool_]
MEASURES = ("ua", "ira", "cra")


class Unlearnt(NamedTuple):
    """What a judge said of pictures, `picture` each: whether it was `asked` to show the target, whether its own
    kind is named rightly, and whether the other kind is."""

    asked: Truths
    own: Truths
    other: Truths

    def items(self) -> dict[str, NDArray[np.float64]]:
        """The pictures behind UA, IRA and CRA, each 1 or 0. `own` of a target's picture is the target itself."""
        return {
            "ua": (~self.own[self.asked]).astype(np.float64),
            "ira": self.own[~self.asked].astype(np.float64),
            "cra": self.other.astype(np.float64),
        }

    def scores(self) -> dict[str, Interval]:
        """UA, IRA and CRA, with intervals over pictures. Raises `ValueError` without pictures of both sorts."""
        return {name: bootstrap([values]) for name, values in self.items().items()}

    def mean(self) -> float:
        """The mean of the three: what strengths are chosen by."""
        return float(np.mean([values.mean() for values in self.items().values()]))


def paired_gain(arm: Unlearnt, other: Unlearnt) -> dict[str, Interval]:
    """UA, IRA and CRA of one arm minus those of another on the same pictures, with paired intervals.

    Raises `ValueError` where the pictures are not the same.
    """
    if not np.array_equal(arm.asked, other.asked):
        raise ValueError("both arms are compared on the same pictures")
    mine, theirs = arm.items(), other.items()
    return {name: bootstrap([mine[name] - theirs[name]]) for name in MEASURES}
