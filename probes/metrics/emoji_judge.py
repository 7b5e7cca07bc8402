"""The judge of emoji pictures: a small network that tells concept, Unicode group and vendor style.

It learnt from real pictures only, with shifts, turns, blur and noise, and never saw a generated one, a
latent or a dictionary. The (concept, style) pairs held out from the bundled pipeline were held out from it
too, so its accuracy on their real pictures is what generated ones can be held against.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from probes.artefacts import BUNDLED
from probes.tensors import load_tensors
from probes.worlds.emoji import STYLES, EmojiCorpus, Pair

FILE = BUNDLED / "judges" / "emoji" / "judge.safetensors"
WIDTHS = (48, 96, 160)


class Opinion(NamedTuple):
    """Logits of the three questions, and the features they are read from, each `picture …`."""

    concept: Tensor
    group: Tensor
    style: Tensor
    features: Tensor


class _Block(nn.Module):
    def __init__(self, ins: int, outs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(ins, outs, 3, stride=2, padding=1)
        self.second = nn.Conv2d(outs, outs, 3, padding=1)
        self.skip = nn.Conv2d(ins, outs, 1)
        self.norms = nn.ModuleList([nn.GroupNorm(8, outs), nn.GroupNorm(8, outs)])

    def forward(self, x: Tensor) -> Tensor:
        inner = F.silu(self.norms[0](self.first(x)))
        return F.silu(self.norms[1](self.second(inner)) + self.skip(F.avg_pool2d(x, 2)))


class EmojiJudge(nn.Module):
    """Pictures in [0, 1], `picture channel row column` at 32 x 32, to an `Opinion`."""

    def __init__(self, concepts: int, groups: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0] // 2, 3, padding=1)
        ins = (WIDTHS[0] // 2, *WIDTHS[:-1])
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in zip(ins, WIDTHS, strict=True)))
        self.features = nn.Linear(WIDTHS[-1] * 16, 192)
        self.concept = nn.Linear(192, concepts)
        self.group = nn.Linear(192, groups)
        self.style = nn.Linear(192, len(STYLES))

    def forward(self, pictures: Tensor) -> Opinion:
        seen = self.blocks(F.silu(self.stem(pictures * 2 - 1)))
        features = self.features(seen.flatten(1))
        read = F.dropout(F.silu(features), 0.3, self.training)
        return Opinion(self.concept(read), self.group(read), self.style(read), features)


class Verdict(NamedTuple):
    """What the judge takes pictures for: a concept of the corpus, places in `groups_of` and in `STYLES`; and the
    features it read that from. Each `picture …`."""

    concept: Tensor
    group: Tensor
    style: Tensor
    features: Tensor


def groups_of(corpus: EmojiCorpus) -> tuple[str, ...]:
    """The Unicode groups, sorted."""
    return tuple(sorted({entry.group for entry in corpus.entries}))


def truths(corpus: EmojiCorpus, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor, Tensor]:
    """What is true of pairs, as the judge counts: concept, group, style, each `pair`."""
    groups = groups_of(corpus)
    concept = torch.tensor([pair.emoji for pair in pairs])
    group = torch.tensor([groups.index(corpus.entries[pair.emoji].group) for pair in pairs])
    return concept, group, torch.tensor([pair.style for pair in pairs])


def new_judge(corpus: EmojiCorpus) -> EmojiJudge:
    """An untrained judge for a corpus."""
    return EmojiJudge(len(corpus.entries), len(groups_of(corpus)))


def open_judge(corpus: EmojiCorpus, file: Path = FILE) -> EmojiJudge:
    """The bundled judge. Raises `WorkbenchError` when its file is missing or damaged."""
    judge = new_judge(corpus)
    judge.load_state_dict({name: tensor.float() for name, tensor in load_tensors(file).items()})
    return judge.eval()


@torch.no_grad()
def judged(judge: EmojiJudge, corpus: EmojiCorpus, pictures: Tensor) -> Verdict:
    """The judge's first choices, among the concepts and their groups, for pictures in [0, 1],
    `picture channel row column`."""
    said = [judge(part) for part in pictures.split(128)]
    concept, group, style, features = (torch.cat(parts) for parts in zip(*said, strict=True))
    concepts = torch.tensor(corpus.concepts)
    groups = truths(corpus, [Pair(at, 0) for at in corpus.concepts])[1].unique()
    return Verdict(
        concepts[concept[:, concepts].argmax(1)], groups[group[:, groups].argmax(1)], style.argmax(1), features
    )
