"""Unlearning measures on verdicts whose scores are known."""

from __future__ import annotations

import numpy as np
import pytest

from steering.unlearning import MEASURES, Unlearnt, paired_gain

ASKED = np.array([True] * 10 + [False] * 30)


def verdicts(named: int, others: int, kind: int) -> Unlearnt:
    """So many of ten target pictures still named as it, of thirty others rightly, of all forty in the other kind."""
    own = np.concatenate([np.arange(10) < named, np.arange(30) < others])
    return Unlearnt(ASKED, own, np.arange(40) < kind)


def test_what_is_gone_and_what_is_left() -> None:
    found = verdicts(2, 27, 38)
    scores = found.scores()
    assert [scores[name].value for name in MEASURES] == pytest.approx([0.8, 0.9, 0.95])
    assert [scores[name].n for name in MEASURES] == [10, 30, 40]
    assert all(one.low <= one.value <= one.high for one in scores.values())
    assert found.mean() == pytest.approx((0.8 + 0.9 + 0.95) / 3)


def test_doing_nothing_and_breaking_everything_both_score_badly() -> None:
    nothing, broken = verdicts(10, 30, 40), verdicts(0, 0, 0)
    assert nothing.scores()["ua"].value == 0 and broken.scores()["ua"].value == 1
    assert verdicts(1, 29, 39).mean() > max(nothing.mean(), broken.mean())


def test_a_gain_is_paired_by_picture_and_needs_the_same_pictures() -> None:
    found = paired_gain(verdicts(2, 27, 38), verdicts(5, 27, 38))
    assert found["ua"].value == pytest.approx(0.3) and found["ua"].low >= 0
    assert tuple(found["ira"])[:3] == (0, 0, 0)
    other = verdicts(2, 27, 38)._replace(asked=~ASKED)
    with pytest.raises(ValueError, match="same pictures"):
        paired_gain(verdicts(2, 27, 38), other)
