"""Probing rows: century and source told from latents, beside majority, the best neuron and a dense probe."""

from __future__ import annotations

from collections.abc import Iterator

from app.suites.rows import Row
from probes.activations.store import ActivationStore
from probes.hierarchy.probe import Probe
from probes.metrics.intervals import Interval
from probes.metrics.probing import (
    QUESTIONS,
    describe_chunks,
    document_labels,
    labelled,
    majority,
    sparse_probe,
)

SIZES: dict[str, int | None] = {"k1": 1, "k5": 5, "k20": 20, "all": None}


def probing_rows(store: ActivationStore, probe: Probe) -> Iterator[Row]:
    """Held-out accuracy per question, level and number of latents; questions the text cannot answer are
    left out. A row's baseline is the dense probe's accuracy on the mean activation of the same layer."""
    questions = {question: document_labels(store, question) for question in QUESTIONS}
    questions = {question: labels for question, labels in questions.items() if len(set(labels.values())) == 2}
    for level in probe.levels:
        train, held = (describe_chunks(store, level, split) for split in ("train", "held_out"))
        for question, labels in questions.items():
            name = f"probing.{question}.{level.name}"
            codes, held_codes = (labelled(part.codes, part.document, labels) for part in (train, held))
            dense, held_dense = (labelled(part.activation, part.document, labels) for part in (train, held))
            if len(set(held_codes.y)) < 2 or len(set(codes.y)) < 2:
                continue
            yield _row(f"{name}.majority", majority(codes, held_codes), "always the commoner class", None)
            whole = sparse_probe(dense, held_dense, None)
            yield _row(f"{name}.neuron", sparse_probe(dense, held_dense, 1).accuracy, "best dimension", None)
            yield _row(f"{name}.dense", whole.accuracy, "mean activation", None)
            for size, k in SIZES.items():
                found = sparse_probe(codes, held_codes, k)
                unit = f"{size.removeprefix('k')} latents; area under the ROC curve {found.auroc:.3f}"
                yield _row(f"{name}.{size}", found.accuracy, unit, whole.accuracy.value)


def _row(name: str, found: Interval, what: str, baseline: float | None) -> Row:
    return Row(
        name=name,
        value=found.value,
        low=found.low,
        high=found.high,
        n=found.n,
        unit=f"accuracy, held-out documents; {what}",
        better="up",
        baseline=baseline,
    )
