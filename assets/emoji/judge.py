"""The judge's training: real pictures, disturbed afresh each time, without the held-out pairs."""

from __future__ import annotations

from pathlib import Path

import torch
from loop import Plan, train
from torch import Tensor
from torch.nn import functional as F

from probes.metrics.emoji_judge import EmojiJudge, new_judge, truths
from probes.worlds.emoji import EmojiCorpus

PLAN = Plan(steps=3000, rate=0.02, decay=0.05, average=0.99, fall=0.7)
BATCH = 32  # per thread


def train_judge(corpus: EmojiCorpus, folder: Path) -> EmojiJudge:
    """Train the three heads together on every emoji there is, concepts for half of each batch: style is
    learnt from what does not tell it by heart."""
    pairs = tuple(pair for pair in corpus.all_pairs if pair not in corpus.held_out)
    concepts = set(corpus.concepts)
    inside = torch.tensor([pair.emoji in concepts for pair in pairs]).double()
    weight = inside / inside.sum() + (1 - inside) / (1 - inside).sum()
    pictures = torch.from_numpy(corpus.pictures(pairs))
    concept, group, style = truths(corpus, pairs)
    torch.manual_seed(3)
    judge = new_judge(corpus)

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        chosen = torch.multinomial(weight, BATCH, generator=generator)
        said = judge(disturbed(pictures[chosen], generator))
        return {
            "concept": F.cross_entropy(said.concept, concept[chosen], label_smoothing=0.05),
            "group": 0.3 * F.cross_entropy(said.group, group[chosen]),
            "style": F.cross_entropy(said.style, style[chosen]),
        }

    trained = train({"judge": judge}, loss, PLAN, folder)["judge"]
    assert isinstance(trained, EmojiJudge)
    return trained


def disturbed(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Shifted, turned, scaled, mirrored, tinted, blurred or noisy, each picture in its own way, in [0, 1]."""
    count = len(pictures)

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    turn, scale = draw(-0.26, 0.26), draw(0.85, 1.2)
    mirror = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    rows = torch.stack([turn.cos() * scale * mirror, -turn.sin() * scale, draw(-0.2, 0.2)], 1)
    more = torch.stack([turn.sin() * scale * mirror, turn.cos() * scale, draw(-0.2, 0.2)], 1)
    grid = F.affine_grid(torch.stack([rows, more], 1), list(pictures.shape), align_corners=False)
    ink = F.grid_sample(1 - pictures, grid, padding_mode="zeros", align_corners=False)
    tinted = (ink * draw(0.8, 1.2, 3, 1, 1) * draw(0.85, 1.15, 1, 1, 1)).clamp(0, 1)
    width = torch.linspace(-1, 1, 3).square() / (2 * 0.7**2)
    kernel = torch.exp(-width) / torch.exp(-width).sum()
    blurred = F.conv2d(tinted, torch.outer(kernel, kernel).expand(3, 1, 3, 3), padding=1, groups=3)
    mixed = torch.lerp(tinted, blurred, draw(-1, 1, 1, 1, 1).clamp_min(0))
    noise = torch.randn(mixed.shape, generator=generator) * draw(-0.04, 0.03, 1, 1, 1).clamp_min(0)
    return (1 - mixed + noise).clamp(0, 1)
