"""What a dictionary costs the subject: cross-entropy with activations replaced by their reconstruction."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from probes.activations.store import ActivationStore
from probes.hierarchy.probe import Level
from probes.hooks import Edit, Selector, Where, hooked
from probes.metrics.intervals import bootstrap_means
from probes.metrics.metric import Metric, measured
from probes.subjects.text_autoregressive import TextAutoregressive


def next_token_losses(subject: TextAutoregressive, tokens: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """(loss, counted), both `chunk pos−1`: −log p of each next token, and where it is a real token."""
    logits = subject.logits(tokens, None if bool(valid.all()) else ~valid)[:, :-1]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    return loss.reshape(tokens[:, 1:].shape), valid[:, 1:]


def loss_recovered(
    subject: TextAutoregressive, store: ActivationStore, level: Level, *, chunks: int = 96, batch: int = 8
) -> dict[str, float]:
    """Cross-entropy (nats per token) clean, with the dictionary, and with mean and zero ablation; the share
    recovered against each, and the increase with a 95 % interval over chunks.

    All but masked positions (padding, sinks, outliers) are replaced. For a level of token rows only.
    """
    if level.rows.span != 1:
        raise ValueError("cross-entropy is measured for levels of token rows")
    info = level.record.point
    mean = _mean_row(store, level)

    def replaced(make: Callable[[Tensor], Tensor]) -> Edit:
        def change(x: Tensor, where: Where) -> Tensor:
            assert where.positions is not None
            masked = info.outliers(x.norm(dim=-1), where.positions)
            return (make(x) - x).masked_fill(masked[..., None], 0.0)

        return Edit(info.point, Selector(), change)

    variants = {
        "clean": None,
        "dictionary": replaced(lambda x: level.space.reconstruct(x)),
        "mean": replaced(lambda x: mean.expand_as(x)),
        "zero": replaced(torch.zeros_like),
    }
    sums: dict[str, list[float]] = {name: [] for name in variants}
    counts: list[float] = []
    for shard in store.shards("held_out"):
        tokens, valid = store.tokens(shard), store.read(shard, "valid")[0]
        for at in range(0, len(tokens), batch):
            if len(counts) >= chunks:
                break
            part = slice(at, at + batch)
            for name, edit in variants.items():
                with hooked(subject, write=[edit] if edit else []):
                    loss, counted = next_token_losses(subject, tokens[part], valid[part])
                sums[name] += (loss * counted).sum(dim=1).tolist()
            counts += counted.sum(dim=1).float().tolist()
    return _figures(sums, counts)


class Losses(NamedTuple):
    """Mean cross-entropy in nats per token: unedited, with the dictionary, ablated to the mean and to zero."""

    clean: float
    dictionary: float
    mean: float
    zero: float


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


def _figures(sums: dict[str, list[float]], counts: list[float]) -> dict[str, float]:
    losses = Losses(**{name: sum(values) / sum(counts) for name, values in sums.items()})
    increase = torch.tensor([sums["dictionary"], sums["clean"]])
    _, low, high = bootstrap_means(
        (increase[0] - increase[1])[:, None].double().numpy(), torch.tensor(counts)[:, None].double().numpy()
    )
    return {
        "cross_entropy": losses.clean,
        **measured(losses, "losses"),
        "cross_entropy_increase_low": float(low[0]),
        "cross_entropy_increase_high": float(high[0]),
        "chunks": float(len(counts)),
    }


def _mean_row(store: ActivationStore, level: Level) -> Tensor:
    """The mean usable activation of the first training shards, `d`."""
    total, count = torch.zeros(store.info(level.record.point.point).d_model, dtype=torch.float64), 0
    for shard in store.shards("train")[:8]:
        x = store.activations(shard, level.record.point.point)[store.usable(shard, level.record.point.point)]
        total, count = total + x.double().sum(dim=0), count + len(x)
    return (total / max(count, 1)).float()
