"""What the judge of emoji says of steered pictures: whether what was asked for is there, and what has stayed.

The judge learnt from real pictures alone; it saw no activation, no latent and no generated picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probes.metrics.emoji_judge import EmojiJudge, Verdict, groups_of, judged
from probes.worlds.emoji import EmojiCorpus, Pair
from steering.picture_bench import Judged, Oracle, Pixels
from steering.unlearning import Unlearnt

Floats = NDArray[np.float64]


class EmojiOracle:
    """A judge over a corpus, and how far pictures lie from anything real."""

    def __init__(self, corpus: EmojiCorpus, judge: EmojiJudge) -> None:
        self._corpus, self._judge = corpus, judge
        self._known = torch.from_numpy(corpus.pictures(corpus.training_pairs)).flatten(1)

    def says(self, pictures: Pixels) -> Verdict:
        """Its verdict on pictures in [0, 1], `picture channel row column`."""
        return judged(self._judge, self._corpus, torch.from_numpy(np.ascontiguousarray(pictures)).float())

    def towards(self, question: str, targets: Sequence[int], keep: Sequence[str]) -> Oracle:
        """Reads whether each picture is now named as its target in one question (`style`, `group`), and whether
        the answers to others are those to the unsteered picture. Collateral is the root mean square change of
        pixels; off-manifold the root mean square distance to the nearest real picture."""
        wanted = torch.tensor(list(targets))

        def read(images: Pixels, plain: Pixels) -> Judged:
            now, before = self.says(images), self.says(plain)
            effect = _shares(getattr(now, question) == wanted)
            kept = {name: _shares(getattr(now, name) == getattr(before, name)) for name in keep}
            moved = np.sqrt(((images - plain) ** 2).mean(axis=(1, 2, 3))).astype(np.float64)
            return Judged(effect, kept, moved, self.from_real(images))

        return read

    def from_real(self, pictures: Pixels) -> Floats:
        """Root mean square distance to the nearest picture the pipeline was trained on, `picture`."""
        flat = torch.from_numpy(np.ascontiguousarray(pictures)).float().flatten(1)
        near = torch.cdist(flat, self._known).min(dim=1).values
        return np.asarray(near.double().numpy() / flat.shape[1] ** 0.5)

    def unlearnt(self, pictures: Pixels, pairs: Sequence[Pair], asked: Sequence[bool], kind: str) -> Unlearnt:
        """Pictures of pairs after a style (`kind` style) or a thing (`kind` concept) was to be unlearnt."""
        said = self.says(pictures)
        right = {
            "concept": said.concept == torch.tensor([pair.emoji for pair in pairs]),
            "style": said.style == torch.tensor([pair.style for pair in pairs]),
        }
        other = "concept" if kind == "style" else "style"
        return Unlearnt(np.array(asked, dtype=bool), right[kind].numpy(), right[other].numpy())

    def group_of(self, emoji: int) -> int:
        """The place of an emoji's Unicode group among the judge's."""
        return groups_of(self._corpus).index(self._corpus.entries[emoji].group)


def _shares(right: Tensor) -> Floats:
    return np.asarray(right.double().numpy())
