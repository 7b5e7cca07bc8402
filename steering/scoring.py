"""Scores of steered runs: what a continuation's tokens cost, and how strongly a latent reads a text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from probes.activations.rows import pool_mean
from probes.hierarchy.probe import Level
from probes.hooks import Edit, Where, hooked
from probes.subjects.text_autoregressive import TextAutoregressive
from steering.places import level_mask


def next_token_scores(
    subject: TextAutoregressive, prompts: Tensor, continuations: Tensor, edits: Sequence[Edit] = ()
) -> Tensor:
    """log p of every token at each place of the continuations, `batch new vocabulary`, nats.

    `prompts`: `batch pos`; `continuations`: `batch new`, which the subject is made to follow.
    """
    both = torch.cat([prompts, continuations], dim=1)
    with hooked(subject, write=list(edits)), subject.prompt_of(prompts.shape[1]):
        logits = subject.logits(both)[:, prompts.shape[1] - 1 : -1]
    return logits.log_softmax(dim=-1)


def of_tokens(scores: Tensor, tokens: Tensor) -> Tensor:
    """log p of the given tokens `batch new` in `batch new vocabulary` scores: `batch new`."""
    return scores.gather(2, tokens[..., None].to(scores.device))[..., 0]


def activity(subject: TextAutoregressive, level: Level, latent: int, prompts: Tensor, continuations: Tensor) -> Tensor:
    """How strongly the unsteered subject reads a latent in generated text, `batch`: its mean code over the
    rows of the continuation, in units of its typical activation."""
    both = torch.cat([prompts, continuations], dim=1)
    point, span, start = level.point, level.rows.span, prompts.shape[1]

    def read(x: Tensor, where: Where) -> Tensor:
        usable = ~level_mask(level, x.float(), where)
        usable[:, :start] = False
        rows, live = pool_mean(x.float(), usable, span)
        value = level.space.encode(rows, [latent]).value[..., 0] * live
        return value.sum(dim=1) / live.sum(dim=1).clamp_min(1)

    with hooked(subject, {point: read}, stop=True) as tape:
        subject.run(both)
    found: Tensor = tape.last(point)
    return found / level.space.table.typical[latent].clamp_min(1e-9)
