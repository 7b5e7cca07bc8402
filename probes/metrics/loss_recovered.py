"""What a dictionary costs the subject: its predictions with activations replaced by their reconstruction.

Two measures, cross-entropy of the text and divergence from the unedited predictions, each against two
ablations: to zero (SAELens, dictionary_learning) and to the mean activation, which is harder to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probes.activations.store import ActivationStore
from probes.hierarchy.probe import Level
from probes.hooks import Edit, Selector, Where, hooked
from probes.metrics.intervals import bootstrap_means
from probes.metrics.metric import Metric, measured
from probes.subjects.text_autoregressive import TextAutoregressive

Floats = NDArray[np.float64]


def next_token_predictions(subject: TextAutoregressive, tokens: Tensor, valid: Tensor) -> Tensor:
    """log p of every next token, `chunk pos−1 vocabulary`, float32."""
    return subject.logits(tokens, None if bool(valid.all()) else ~valid)[:, :-1].log_softmax(dim=-1)


def cross_entropy(log_p: Tensor, tokens: Tensor) -> Tensor:
    """−log p of the tokens that came, `chunk pos−1`, from predictions `chunk pos−1 vocabulary`."""
    return -log_p.gather(2, tokens[:, 1:, None]).squeeze(2)


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q) in nats of predictions `... vocabulary`, `...`."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


class Losses(NamedTuple):
    """Nats per token. Cross-entropy unedited, with the dictionary, ablated to the mean and to zero; and the
    divergence of the last three from the unedited predictions."""

    clean: float
    dictionary: float
    mean: float
    zero: float
    dictionary_divergence: float
    mean_divergence: float
    zero_divergence: float


class ChunkLosses(NamedTuple):
    """Sums over the counted tokens of each chunk (`chunk` each, nats), and how many tokens those are."""

    clean: Floats
    dictionary: Floats
    mean: Floats
    zero: Floats
    dictionary_divergence: Floats
    mean_divergence: Floats
    zero_divergence: Floats
    tokens: Floats

    def losses(self) -> Losses:
        """Means per token."""
        return losses_of(np.stack(self, axis=1))


def losses_of(sums: Floats) -> Losses:
    """Means per token of rows of `ChunkLosses`, `chunk 8`."""
    *totals, tokens = sums.sum(axis=0)
    return Losses(*(float(total / tokens) for total in totals))


def loss_recovered(
    subject: TextAutoregressive, store: ActivationStore, level: Level, *, chunks: int = 96, batch: int = 4
) -> dict[str, float]:
    """Cross-entropy and divergence (nats per token) clean, with the dictionary, and with mean and zero
    ablation; the shares recovered against each, and the increase with a 95 % interval over chunks.
    """
    (found,) = losses_recovered(subject, store, [level], chunks=chunks, batch=batch)
    losses = found.losses()
    _, low, high = bootstrap_means((found.dictionary - found.clean)[:, None], found.tokens[:, None])
    return {
        "cross_entropy": losses.clean,
        **measured(losses, "losses"),
        "cross_entropy_increase_low": float(low[0]),
        "cross_entropy_increase_high": float(high[0]),
        "chunks": float(len(found.tokens)),
    }


def losses_recovered(
    subject: TextAutoregressive, store: ActivationStore, levels: Sequence[Level], *, chunks: int = 96, batch: int = 4
) -> list[ChunkLosses]:
    """What each of several dictionaries of one hook point costs, by held-out chunk; ablations are run once.

    All but masked positions (padding, sinks, outliers) are replaced. For levels of token rows only.
    """
    if any(level.rows.span != 1 for level in levels):
        raise ValueError("cross-entropy is measured for levels of token rows")
    if len({level.point for level in levels}) > 1:
        raise ValueError("dictionaries are compared at one hook point")
    info = levels[0].record.point
    mean = _mean_row(store, levels[0])

    def replaced(make: Callable[[Tensor], Tensor]) -> list[Edit]:
        def change(x: Tensor, where: Where) -> Tensor:
            assert where.positions is not None
            masked = info.outliers(x.norm(dim=-1), where.positions)
            return (make(x) - x).masked_fill(masked[..., None], 0.0)

        return [Edit(info.point, Selector(), change)]

    variants: list[list[Edit]] = [
        [],
        replaced(lambda x: mean.expand_as(x)),
        replaced(torch.zeros_like),
        *(replaced(level.space.reconstruct) for level in levels),
    ]
    sums: list[list[float]] = [[] for _ in variants]
    apart: list[list[float]] = [[] for _ in variants]
    counts: list[float] = []
    for tokens, valid in _batches(store, chunks, batch):
        counted = valid[:, 1:]
        clean: Tensor | None = None
        for number, edits in enumerate(variants):
            with hooked(subject, write=edits):
                log_p = next_token_predictions(subject, tokens, valid)
            clean = log_p if clean is None else clean
            sums[number] += (cross_entropy(log_p, tokens) * counted).sum(dim=1).tolist()
            apart[number] += (divergence(clean, log_p) * counted).sum(dim=1).tolist()
        counts += counted.sum(dim=1).float().tolist()
    (plain, at_mean, at_zero, *own), (_, mean_apart, zero_apart, *own_apart) = (
        [np.array(values) for values in table] for table in (sums, apart)
    )
    return [
        ChunkLosses(plain, loss, at_mean, at_zero, moved, mean_apart, zero_apart, np.array(counts))
        for loss, moved in zip(own, own_apart, strict=True)
    ]


def _batches(store: ActivationStore, chunks: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(tokens, valid), `chunk pos`, of the first held-out chunks."""
    left = chunks
    for _, tokens, valid in store.chunks("held_out"):
        for at in range(0, len(tokens), batch):
            part = slice(at, at + min(batch, left))
            if left <= 0:
                return
            left -= len(tokens[part])
            yield tokens[part], valid[part]


INCREASE = Metric(lambda seen: seen.dictionary - seen.clean, "losses", "nats per token", "down")
RECOVERED_MEAN = Metric(
    lambda seen: (seen.mean - seen.dictionary) / (seen.mean - seen.clean),
    "losses",
    "share of the mean-ablation loss",
    "up",
)
RECOVERED_ZERO = Metric(
    lambda seen: (seen.zero - seen.dictionary) / (seen.zero - seen.clean),
    "losses",
    "share of the zero-ablation loss",
    "up",
)
DIVERGENCE = Metric(lambda seen: seen.dictionary_divergence, "losses", "nats per token", "down", low=0)
KL_RECOVERED_MEAN = Metric(
    lambda seen: (seen.mean_divergence - seen.dictionary_divergence) / seen.mean_divergence,
    "losses",
    "share of the mean-ablation divergence",
    "up",
    high=1,
)
KL_RECOVERED_ZERO = Metric(
    lambda seen: (seen.zero_divergence - seen.dictionary_divergence) / seen.zero_divergence,
    "losses",
    "share of the zero-ablation divergence",
    "up",
    high=1,
)


def _mean_row(store: ActivationStore, level: Level) -> Tensor:
    """The mean usable activation of the first training shards, `d`."""
    total, count = torch.zeros(store.info(level.point).d_model, dtype=torch.float64), 0
    for shard in store.shards("train")[:8]:
        x = store.activations(shard, level.point)[store.usable(shard, level.point)]
        total, count = total + x.double().sum(dim=0), count + len(x)
    return (total / max(count, 1)).float()
