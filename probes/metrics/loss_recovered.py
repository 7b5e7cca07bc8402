"""What a dictionary costs the subject: its predictions with activations replaced by their reconstruction.

Two measures, cross-entropy of the text and divergence from the unedited predictions, each against two
ablations: to zero (SAELens, dictionary_learning) and to the mean activation, which is harder to beat.
"""

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


def next_token_predictions(subject: TextAutoregressive, tokens: Tensor, valid: Tensor) -> Tensor:
    """log p of every next token, `chunk pos−1 vocabulary`, float32."""
    return subject.logits(tokens, None if bool(valid.all()) else ~valid)[:, :-1].log_softmax(dim=-1)


def cross_entropy(log_p: Tensor, tokens: Tensor) -> Tensor:
    """−log p of the tokens that came, `chunk pos−1`, from predictions `chunk pos−1 vocabulary`."""
    return -log_p.gather(2, tokens[:, 1:, None]).squeeze(2)


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q) in nats of predictions `... vocabulary`, `...`."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def loss_recovered(
    subject: TextAutoregressive, store: ActivationStore, level: Level, *, chunks: int = 96, batch: int = 4
) -> dict[str, float]:
    """Cross-entropy and divergence (nats per token) clean, with the dictionary, and with mean and zero
    ablation; the shares recovered against each, and the increase with a 95 % interval over chunks.

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
    apart: dict[str, float] = dict.fromkeys(variants, 0.0)
    counts: list[float] = []
    for shard in store.shards("held_out"):
        tokens, valid = store.tokens(shard), store.read(shard, "valid")[0]
        for at in range(0, len(tokens), batch):
            if len(counts) >= chunks:
                break
            part = slice(at, at + batch)
            counted = valid[part][:, 1:]
            clean: Tensor | None = None
            for name, edit in variants.items():
                with hooked(subject, write=[edit] if edit else []):
                    log_p = next_token_predictions(subject, tokens[part], valid[part])
                clean = log_p if clean is None else clean
                sums[name] += (cross_entropy(log_p, tokens[part]) * counted).sum(dim=1).tolist()
                apart[name] += float((divergence(clean, log_p) * counted).sum())
            counts += counted.sum(dim=1).float().tolist()
    return _figures(sums, apart, counts)


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


def _figures(sums: dict[str, list[float]], apart: dict[str, float], counts: list[float]) -> dict[str, float]:
    total = sum(counts)
    losses = Losses(
        **{name: sum(values) / total for name, values in sums.items()},
        **{f"{name}_divergence": value / total for name, value in apart.items() if name != "clean"},
    )
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
