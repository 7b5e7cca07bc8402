"""An activation store from a module subject: batches of inputs in, a store out, as for text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from probes.activations.shards import captured, save_shard
from probes.activations.store import DocumentInfo, PointInfo, ShardInfo, Split, StoreIndex
from probes.addresses import HookPoint
from probes.artefacts import artefact_path, write_manifest
from probes.errors import WorkbenchError
from probes.files import atomic_write, commit_directory
from probes.subjects.subject import Subject


def capture_inputs(
    subject: Subject,
    inputs: Iterable[Tensor],
    points: Sequence[HookPoint] = (),
    *,
    name: str,
    held_out: float = 0.125,
    batch: int = 1024,
) -> Path:
    """Run a subject over batches of inputs (`item ...` each) and keep its activations at `points`.

    Without `points` those the subject suggests. Each batch is a document: its items are trained on or held
    out together, every 1/`held_out`-th of them held out. Activations and inputs are kept in float32 or as
    they are, so that runs restarted from the store are exact. Points are listed at even depths, the first
    lowest. Returns the store; raises `WorkbenchError` when nothing is left to train on or to hold out,
    when an activation is not finite, and when the points differ in places per item.
    """
    points = tuple(points or subject.points.suggested)
    shards: list[ShardInfo] = []
    documents: list[DocumentInfo] = []
    norms: list[list[Tensor]] = [[] for _ in points]
    widths: list[int] = []
    places = 1
    target = artefact_path("store", name)
    with commit_directory(target) as folder:
        for number, items in enumerate(inputs):
            split: Split = "held_out" if int((number + 1) * held_out) > int(number * held_out) else "train"
            tensors = captured(subject, points, items, None, batch=batch, dtype=torch.float32)
            places = _places_of(tensors, points)
            widths = [tensors[f"x.{n}"].shape[2] for n in range(len(points))]
            if split == "train":
                for held, n in zip(norms, range(len(points)), strict=True):
                    held.append(tensors[f"norm.{n}"].flatten())
            file = f"{split}-{number:05d}.safetensors"
            count = len(items)
            tensors |= {
                "inputs": items.contiguous(),
                "valid": torch.ones(count, places, dtype=torch.bool),
                "document": torch.full((count,), number, dtype=torch.int32),
                "start": torch.arange(count, dtype=torch.int32) * places,
            }
            save_shard(tensors, folder / file)
            shards.append(ShardInfo(split=split, file=file, chunks=count, tokens=count * places))
            documents.append(DocumentInfo(id=f"inputs-{number:05d}", split=split))
        _refuse_one_sided(documents, held_out)
        infos = tuple(
            PointInfo(
                point=point,
                d_model=widths[n],
                fraction=(n + 0.5) / len(points),
                median_norm=float(torch.cat(norms[n]).median()),
                masks_outliers=False,
            )
            for n, point in enumerate(points)
        )
        index = StoreIndex(
            subject=subject.name,
            corpus="inputs",
            context=places,
            special_ids=(),
            points=infos,
            shards=tuple(sorted(shards, key=lambda shard: (shard.split != "train", shard.file))),
            documents=tuple(documents),
            fed_with="inputs",
        )
        atomic_write(folder / "index.json", index.model_dump_json(indent=1))
        figures = {"items": sum(shard.chunks for shard in shards), "documents": len(documents)}
        write_manifest(folder, kind="store", name=name, figures=figures)
    return target


def _places_of(tensors: dict[str, Tensor], points: Sequence[HookPoint]) -> int:
    found = {str(point): tensors[f"x.{n}"].shape[1] for n, point in enumerate(points)}
    if len(set(found.values())) > 1:
        raise WorkbenchError(
            "uneven-places",
            "The hook points cannot share a store",
            "they have " + ", ".join(f"{count} places per item at {point}" for point, count in found.items()),
            "Capture points with equal numbers of places together.",
        )
    return next(iter(found.values()))


def _refuse_one_sided(documents: Sequence[DocumentInfo], held_out: float) -> None:
    splits = {document.split for document in documents}
    if splits != {"train", "held_out"}:
        raise WorkbenchError(
            "too-few-inputs",
            "The inputs are too few",
            f"{len(documents)} batches leave nothing for "
            + ("training" if "train" not in splits else "the held-out part"),
            f"Give at least {int(1 / held_out) + 1} batches, or change held_out.",
        )
