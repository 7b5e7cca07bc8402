"""Describe concepts: label, detection, examples, output tokens, frequency, spread and seed agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from concept_graphs.companions import companions_of
from concept_graphs.contexts import Text, firings, token_values, window
from concept_graphs.labels import Detection, Label, detection_scores, folded, label_text, make_labels
from concept_graphs.output_tokens import output_tokens
from concept_graphs.seeds import best_matches
from concept_graphs.study import Described
from concept_graphs.tables import Example, Node
from concept_graphs.top_examples import TopExamples
from probes.activations.rows import pool_mean
from probes.activations.store import ActivationStore, Split
from probes.hierarchy.probe import Level, Probe
from probes.subjects.text_autoregressive import TextAutoregressive

MARGIN = 16


def describe(
    subject: TextAutoregressive,
    store: ActivationStore,
    level: Level,
    latents: Sequence[int],
    others: Sequence[Probe] = (),
    *,
    count: int = 6,
    companions: int = 8,
    examples_from: Split = "train",
) -> Described:
    """Labels are made on training text and scored on held-out text; examples are the strongest rows of one
    split, from different documents."""
    top = TopExamples(level.space.n_latents, count)
    tops: dict[Split, TopExamples] = {examples_from: top}
    found, text = firings(store, store.shards("train"), level, latents, tops.get("train"))
    labels = make_labels(found, folded(text, subject.facts.piece), level.rows, len(latents))
    held, held_text = firings(store, store.shards("held_out"), level, latents, tops.get("held_out"))
    usable = torch.from_numpy(held_text.usable)
    rows = pool_mean(usable[..., None].float(), usable, level.rows.span)[1].numpy()
    scored_text = folded(held_text, subject.facts.piece)
    detections = detection_scores(labels, held, scored_text, rows, level.rows)
    promoted, suppressed = output_tokens(subject, level.space.w_dec[list(latents)])
    agreement = agreement_of(level, others, latents)
    together = companions_of(store, level, latents, count=companions)
    nodes, examples = [], {}
    shown = text if examples_from == "train" else held_text
    for at, latent in enumerate(latents):
        name, detection = f"{level.name}/{latent}", detections[at]
        nodes.append(
            node_of(
                level,
                latent,
                detection,
                together[at],
                label=label_text(labels[at], subject.facts.piece),
                label_tokens=_tokens(labels[at], subject),
                seed_agreement=agreement[at],
                promoted=[(token, round(value, 4)) for token, value in promoted[at]],
                suppressed=[(token, round(value, 4)) for token, value in suppressed[at]],
            )
        )
        examples[name] = [_example(subject, store, level, shown, *place, latent) for place in top.places(latent)]
    return Described(nodes, {name: rows for name, rows in examples.items() if rows}, {})


def _tokens(label: Label, subject: TextAutoregressive) -> list[str]:
    return [
        subject.facts.piece(token) if before < 0 else subject.facts.piece(before) + subject.facts.piece(token)
        for before, token in label.patterns
    ]


def node_of(level: Level, latent: int, detection: Detection | None, together: Mapping[int, float], **said: Any) -> Node:
    """A latent as a node: what its level measured of it, its companions, and what else is `said` of it."""
    return Node(
        id=f"{level.name}/{latent}",
        level=level.name,
        index=latent,
        detection=detection.auroc if detection else None,
        detection_low=detection.low if detection else None,
        detection_high=detection.high if detection else None,
        detection_n=detection.n if detection else 0,
        frequency=float(level.statistics["frequency"][latent]),
        typical=float(level.statistics["typical"][latent]),
        spread=float(level.statistics["spread"][latent]),
        spread_floor=float(level.statistics["spread_floor"][latent]),
        companions=[
            (f"{level.name}/{other}", round(weight, 4)) for other, weight in together.items() if other != latent
        ],
        **said,
    )


def agreement_of(level: Level, others: Sequence[Probe], latents: Sequence[int]) -> list[float | None]:
    """Mean over other seeds of the best decoder cosine; None without other seeds."""
    if not others:
        return [None] * len(latents)
    found = np.mean([best_matches(level, other, latents)[0] for other in others], axis=0)
    return [float(np.clip(value, -1, 1)) for value in found]


def _example(
    subject: TextAutoregressive,
    store: ActivationStore,
    level: Level,
    text: Text,
    chunk: int,
    row: int,
    latent: int,
) -> Example:
    start, stop = window(row, level.rows, text.tokens.shape[1], MARGIN)
    shard, place = int(text.shard_of[chunk]), int(text.row_in_shard[chunk])
    values = token_values(store, level, shard, place, latent)[start:stop]
    tokens = text.tokens[chunk, start:stop]
    real = _length(text, chunk) - start
    shown: dict[str, Any] = {
        "document": store.index.documents[int(text.document[chunk])].id,
        "position": int(text.start[chunk]) + start,
        "tokens": subject.facts.pieces(tokens[:real]),
        "values": [round(float(v), 3) for v in values[:real]],
    }
    return Example(**shown, peak=int(np.argmax(shown["values"])))


def _length(text: Text, chunk: int) -> int:
    """Where a chunk's padding begins."""
    used = np.flatnonzero(text.usable[chunk])
    return int(used[-1]) + 1 if len(used) else 1
