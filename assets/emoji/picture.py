"""The sample sheet of the page about the pipeline: real picture left, sample right, of the same caption."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from app.suites.emoji import PIPELINE, EmojiConfig, open_pipeline, sample, trained_pairs
from probes.worlds.emoji import EmojiCorpus, Pair

COLUMNS, TRAINED_ROWS, HELD_OUT_ROWS = 10, 6, 3
SCALE = 2


def draw(corpus: EmojiCorpus) -> None:
    """Six rows of trained pairs, a line, three rows of held-out pairs: evenly spaced, none picked."""
    trained = spread(trained_pairs(corpus, len(corpus.concepts)), COLUMNS * TRAINED_ROWS)
    held_out = spread(tuple(sorted(corpus.held_out)), COLUMNS * HELD_OUT_ROWS)
    made = sample(open_pipeline(), corpus, (*trained, *held_out), 0, EmojiConfig()).pictures
    real = torch.from_numpy(corpus.pictures((*trained, *held_out)))
    both = torch.stack([real, made], dim=1)
    sheets = [_sheet(part) for part in both.split([len(trained), len(held_out)])]
    line = np.zeros((2, sheets[0].shape[1], 3), dtype=np.uint8)
    whole = Image.fromarray(np.concatenate([sheets[0], line, sheets[1]]))
    whole = whole.resize((SCALE * whole.width, SCALE * whole.height), Image.Resampling.NEAREST)
    whole.save(PIPELINE / "samples.png", optimize=True)


def spread(pairs: tuple[Pair, ...], count: int) -> tuple[Pair, ...]:
    """That many pairs at even distances."""
    return tuple(pairs[len(pairs) * at // count] for at in range(count))


def _sheet(both: torch.Tensor) -> np.ndarray:
    """`pair 2 channel row column` in [0, 1] as one picture, uint8 `row column channel`."""
    side = both.shape[-1]
    cells = both.reshape(-1, 2 * COLUMNS, 3, side, side).permute(0, 3, 1, 4, 2)
    return (cells.reshape(-1, 2 * COLUMNS * side, 3) * 255).round().byte().numpy()
