"""Probing rows: century and source told from latents, beside majority, the best neuron and a dense probe."""

from __future__ import annotations

from collections.abc import Iterator

from app.progress import counted
from app.suites.rows import Row
from probes.activations.store import ActivationStore
from probes.hierarchy.probe import Probe
from probes.metrics.intervals import Interval
from probes.metrics.probing import (
    QUESTIONS,
    Probed,
    describe_chunks,
    document_labels,
    labelled,
    majority,
    sparse_probe,
)
from probes.runs import Run

SIZES: dict[str, int | None] = {"k1": 1, "k5": 5, "k20": 20, "all": None}


def probing_rows(store: ActivationStore, probe: Probe, run: Run) -> Iterator[Row]:
    """Held-out accuracy and area under the ROC curve per question, level and number of latents; questions
    that the text cannot answer are left out. A row's baseline is the dense probe's figure on the mean
    activation of the same layer."""
    questions = {question: document_labels(store, question) for question in QUESTIONS}
    questions = {question: labels for question, labels in questions.items() if len(set(labels.values())) == 2}
    for level in counted(run, probe.levels, "probing for century and source, level by level"):
        train, held = (describe_chunks(store, level, split) for split in ("train", "held_out"))
        for question, labels in questions.items():
            name = f"probing.{question}.{level.name}"
            codes, held_codes = (labelled(part.codes, part.document, labels) for part in (train, held))
            dense, held_dense = (labelled(part.activation, part.document, labels) for part in (train, held))
            if len(set(held_codes.y)) < 2 or len(set(codes.y)) < 2:
                continue
            unit = "accuracy, held-out documents; always the class that is commoner in training"
            yield _row(f"{name}.majority", majority(codes, held_codes), unit, None)
            whole = sparse_probe(dense, held_dense, None)
            yield from _rows(f"{name}.neuron", sparse_probe(dense, held_dense, 1), "best dimension", whole)
            yield from _rows(f"{name}.dense", whole, "mean activation", None)
            for size, k in SIZES.items():
                found = sparse_probe(codes, held_codes, k)
                yield from _rows(f"{name}.{size}", found, f"{size.removeprefix('k')} latents", whole)


def _rows(name: str, found: Probed, what: str, dense: Probed | None) -> Iterator[Row]:
    accuracy, auroc = (dense.accuracy.value, dense.auroc.value) if dense else (None, None)
    yield _row(name, found.accuracy, f"accuracy, held-out documents; {what}", accuracy)
    yield _row(f"{name}.auroc", found.auroc, f"area under the ROC curve, held-out documents; {what}", auroc)


def _row(name: str, found: Interval, unit: str, baseline: float | None) -> Row:
    return Row(
        name=name,
        value=found.value,
        low=found.low,
        high=found.high,
        n=found.n,
        unit=unit,
        better="up",
        baseline=baseline,
    )
