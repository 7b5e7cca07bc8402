"""The judge as an oracle of levers, on real pictures: the answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from probes.metrics.emoji_judge import open_judge
from probes.worlds.emoji import EmojiCorpus, Pair, read_emoji
from steering.emoji_oracles import EmojiOracle


@pytest.fixture(scope="module")
def corpus() -> EmojiCorpus:
    return read_emoji()


@pytest.fixture(scope="module")
def oracle(corpus: EmojiCorpus) -> EmojiOracle:
    return EmojiOracle(corpus, open_judge(corpus))


def in_style(corpus: EmojiCorpus, style: int) -> list[Pair]:
    parted = {pair.emoji for pair in corpus.held_out}
    return [Pair(at, style) for at in corpus.concepts if at not in parted][:40]


def test_real_pictures_of_another_vendor_are_a_perfect_swap(corpus: EmojiCorpus, oracle: EmojiOracle) -> None:
    plain, other = (corpus.pictures(in_style(corpus, style)) for style in (0, 2))
    read = oracle.towards("style", [2] * 40, ["concept"])
    nothing, swapped = read(plain, plain), read(other, plain)
    assert nothing.effect.mean() < 0.05 and swapped.effect.mean() > 0.95
    assert nothing.kept["concept"].min() == 1 and swapped.kept["concept"].mean() > 0.9
    assert not nothing.collateral.any() and swapped.collateral.min() > 0.01
    assert nothing.off_manifold.max() < 1e-3


def test_noise_is_far_from_anything_real_and_changes_the_thing(corpus: EmojiCorpus, oracle: EmojiOracle) -> None:
    plain = corpus.pictures(in_style(corpus, 1))
    noise = np.random.default_rng(0).random(plain.shape).astype(np.float32)
    found = oracle.towards("group", [0] * 40, ["style", "concept"])(noise, plain)
    assert found.off_manifold.min() > 0.2 and found.kept["concept"].mean() < 0.2
    assert set(found.kept) == {"style", "concept"}


def test_unlearning_reads_the_targets_own_kind_and_the_other(corpus: EmojiCorpus, oracle: EmojiOracle) -> None:
    pairs = [*in_style(corpus, 0)[:20], *in_style(corpus, 1)[20:]]
    asked = [pair.style == 0 for pair in pairs]
    before = oracle.unlearnt(corpus.pictures(pairs), pairs, asked, "style")
    assert before.scores()["ua"].value < 0.1 and before.scores()["ira"].value > 0.9
    turned = [pair._replace(style=2) if pair.style == 0 else pair for pair in pairs]
    after = oracle.unlearnt(corpus.pictures(turned), pairs, asked, "style")
    assert after.scores()["ua"].value > 0.9 and after.scores()["cra"].value > 0.9
    swapped = [*pairs[1:20], pairs[0], *pairs[20:]]
    wrong = oracle.unlearnt(corpus.pictures(swapped), pairs, asked, "concept")
    assert wrong.scores()["ua"].value > 0.9 and wrong.scores()["cra"].value > 0.9


def test_groups_are_counted_as_the_judge_counts(corpus: EmojiCorpus, oracle: EmojiOracle) -> None:
    pairs = in_style(corpus, 0)
    said = oracle.says(corpus.pictures(pairs)).group.numpy()
    assert (said == [oracle.group_of(pair.emoji) for pair in pairs]).mean() > 0.9
