"""The words-only judge on text whose truth is known, and windows marked on, off or in doubt."""

from __future__ import annotations

import numpy as np

from probes.activations.rows import RowKind
from steering.arms import mark_windows
from steering.judge import JudgeBench, Windows

PLAIN = "the a of and to in that was his with for had not from but she which were this have".split()


def made(seed: int, windows: int = 240) -> tuple[Windows, np.ndarray]:
    """Windows of random plain words; in a third of them "whale" or "harpoon" stands as well."""
    random = np.random.default_rng(seed)
    on = (random.random(windows) < 1 / 3).astype(int)
    texts = []
    for mark in on:
        words = list(random.choice(PLAIN, 20))
        if mark:
            words[int(random.integers(20))] = str(random.choice(["whale", "harpoon"]))
        texts.append(" ".join(words))
    return Windows(texts, np.arange(windows) // 12), on


def test_judge_finds_the_planted_words_and_reads_new_text() -> None:
    (train, on), (held, held_on) = made(0), made(1)
    bench = JudgeBench(train, held)
    judge = bench.judge(on, held_on)
    assert judge is not None
    assert judge.auroc > 0.9
    low, high = bench.read(judge, ["she was in the house", "she saw the whale"])
    assert high > 0 > low


def test_judge_of_meaningless_marks_is_at_chance() -> None:
    (train, _), (held, _) = made(0), made(1)
    random = np.random.default_rng(2)
    judge = JudgeBench(train, held).judge(random.integers(0, 2, 240), random.integers(0, 2, 240))
    assert judge is not None
    assert 0.35 < judge.auroc < 0.65


def test_no_judge_from_a_handful_of_windows() -> None:
    (train, on), (held, held_on) = made(0), made(1)
    few = np.where(np.cumsum(on) <= 5, on, -1 * on)
    assert JudgeBench(train, held).judge(few, held_on) is None


def test_windows_are_on_off_or_in_doubt() -> None:
    marks = mark_windows(
        np.array([0, 0, 1, 0]),
        np.array([3.0, 0.5, 9.0, 4.0]),
        chunk=np.array([0, 0, 0, 1]),
        row=np.array([1, 6, 3, 9]),
        kind=RowKind(),
        shape=(2, 10),
        length=3,
        clear=2.0,
        which=0,
    )
    # three whole windows per chunk; the firing at position 9 lies behind the last whole one
    assert marks.tolist() == [1, 0, -1, 0, 0, 0]
    spans = mark_windows(
        np.array([0]),
        np.array([3.0]),
        chunk=np.array([0]),
        row=np.array([1]),
        kind=RowKind(span=4),
        shape=(1, 8),
        length=4,
        clear=2.0,
        which=0,
    )
    assert spans.tolist() == [0, 1]
