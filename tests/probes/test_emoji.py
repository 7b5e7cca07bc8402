"""The emoji corpus: what ships is what its manifest names, and what is held out is nowhere in training."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from probes.errors import WorkbenchError
from probes.worlds.emoji import FOLDER, STYLES, EmojiCorpus, Pair, read_emoji


@pytest.fixture(scope="module")
def corpus() -> EmojiCorpus:
    return read_emoji()


def test_every_concept_is_drawn_by_all_three_vendors(corpus: EmojiCorpus) -> None:
    assert len(corpus.concepts) >= 300
    assert all(corpus.entries[at].styles == STYLES for at in corpus.concepts)
    assert len({corpus.entries[at].label for at in corpus.concepts}) == len(corpus.concepts)
    assert len({corpus.entries[at].group for at in corpus.concepts}) == 6


def test_every_held_out_pair_is_absent_from_training_and_its_concept_is_seen_in_the_other_styles(
    corpus: EmojiCorpus,
) -> None:
    training = set(corpus.training_pairs)
    assert not training & corpus.held_out
    assert len(corpus.held_out) == round(0.1 * 3 * len(corpus.concepts))
    assert training | corpus.held_out == {Pair(at, style) for at in corpus.concepts for style in range(3)}
    for pair in corpus.held_out:
        assert sum(Pair(pair.emoji, style) in training for style in range(3)) == 2
    counts = Counter(pair.style for pair in corpus.held_out)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_pictures_are_the_ones_of_their_pair(corpus: EmojiCorpus) -> None:
    """The three vendors draw a concept in like colours: a shifted sheet would pair strangers."""
    numbers = np.random.default_rng(0).permutation(len(corpus.concepts))
    means = [
        np.stack([corpus.pictures([Pair(at, style)])[0].mean((1, 2)) for at in corpus.concepts]) for style in range(3)
    ]
    for other in (1, 2):
        own = np.abs(means[0] - means[other]).mean()
        assert own < 0.7 * np.abs(means[0] - means[other][numbers]).mean()
    assert not np.array_equal(*corpus.pictures([Pair(corpus.concepts[0], 0), Pair(corpus.concepts[0], 1)]))


def test_captions_name_concept_and_style(corpus: EmojiCorpus) -> None:
    apple = next(at for at in corpus.concepts if corpus.entries[at].label == "red apple")
    assert corpus.caption(Pair(apple, STYLES.index("fluent"))) == "red apple, fluent style"
    assert corpus.pictures([Pair(apple, 0)])[0, 0].mean() > corpus.pictures([Pair(apple, 0)])[0, 1].mean() + 0.1


@pytest.mark.parametrize("name", ["noto.png", "split.json"])
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    shutil.copytree(FOLDER, tmp_path / "emoji")
    with (tmp_path / "emoji" / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(WorkbenchError, match=name):
        read_emoji(tmp_path / "emoji")
