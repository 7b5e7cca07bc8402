"""Which guidance the suite samples with: chosen on concepts that the suite does not judge."""

from __future__ import annotations

from app.suites.emoji import EmojiConfig, open_pipeline, right, sample, trained_pairs
from probes.metrics.emoji_judge import judged, open_judge
from probes.worlds.emoji import EmojiCorpus

TRIED = (1.0, 1.5, 2.0, 3.0, 4.0)
MOST = 120


def compare(corpus: EmojiCorpus) -> None:
    """Print what the judge says at each guidance of trained pairs whose concept the suite leaves out."""
    pipeline, judge = open_pipeline(), open_judge(corpus)
    measured = {pair.emoji for pair in trained_pairs(corpus, EmojiConfig().concepts)}
    pairs = tuple(pair for pair in corpus.training_pairs if pair.emoji not in measured)
    pairs = pairs[:: max(1, len(pairs) // MOST)]
    for guidance in TRIED:
        made = sample(pipeline, corpus, pairs, 7, EmojiConfig(guidance=guidance)).pictures
        found = right(corpus, judged(judge, corpus, made), pairs)
        print(f"guidance {guidance}:", *(f"{question} {items.mean():.3f}" for question, items in found.items()))
