"""Which captions levers are developed on and which they are scored on: no concept is in both."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from probes.subjects.image_inputs import ImageInputs
from probes.worlds.emoji import STYLES, EmojiCorpus, Pair

SPLIT_SEED = 0
TUNING, SCORING = 500_000, 900_000  # where the seeds of each stage start; those of the captured pictures, at 0


class Captions(NamedTuple):
    """Concepts of which the pipeline saw every style, in a seeded order: two thirds to develop
    on, the rest to score."""

    development: tuple[int, ...]
    scored: tuple[int, ...]

    @classmethod
    def of(cls, corpus: EmojiCorpus, most: int) -> Captions:
        """At most `most` development concepts, and half as many to score."""
        parted = {pair.emoji for pair in corpus.held_out}
        whole = [at for at in corpus.concepts if at not in parted and len(corpus.entries[at].styles) == len(STYLES)]
        random.Random(SPLIT_SEED).shuffle(whole)
        cut = len(whole) * 2 // 3
        return cls(tuple(whole[:cut][:most]), tuple(whole[cut:][: max(1, most // 2)]))


def inputs_of(corpus: EmojiCorpus, pairs: Sequence[Pair], seed: int, steps: int, guidance: float) -> ImageInputs:
    """A picture of each pair, each with a seed of its own."""
    return ImageInputs(
        prompts=tuple(corpus.caption(pair) for pair in pairs),
        seeds=tuple(range(seed, seed + len(pairs))),
        steps=steps,
        guidance=guidance,
    )


def in_turn(concepts: Sequence[int], start: int, count: int) -> list[int]:
    """`count` concepts from number `start` on, around the end."""
    return [concepts[(start + at) % len(concepts)] for at in range(count)]
