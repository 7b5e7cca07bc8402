"""Writing a store: shards one by one, each kept for a resumed run; activations of any subject; the index last."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from probes.activations.store import ShardInfo, Split, StoreIndex
from probes.addresses import HookPoint
from probes.artefacts import write_manifest
from probes.errors import WorkbenchError
from probes.files import atomic_write, publish
from probes.hooks import hooked, keep
from probes.runs import Run
from probes.subjects.subject import Subject


class Planned(NamedTuple):
    """A shard that is to be written: its name, its size, and what makes its tensors."""

    split: Split
    number: int
    chunks: int
    tokens: int
    make: Callable[[], dict[str, Tensor]]


def write_shards(planned: Iterable[Planned], folder: Path, run: Run) -> list[ShardInfo] | None:
    """Write what is not there yet, in order; None when asked to stop between two shards."""
    written, done = [], 0
    for one in planned:
        file = f"{one.split}-{one.number:05d}.safetensors"
        if not (folder / file).is_file():
            if run.stop_requested():
                return None
            save_shard(one.make(), folder / file)
        written.append(ShardInfo(split=one.split, file=file, chunks=one.chunks, tokens=one.tokens))
        done += one.tokens
        run.log(done, tokens=done)
    return written


def finish_store(
    folder: Path, target: Path, index: StoreIndex, *, name: str, figures: Mapping[str, Any], run: Run
) -> Path:
    """Write the index and the manifest beside the shards, and put the whole where stores are found."""
    atomic_write(folder / "index.json", index.model_dump_json(indent=1))
    write_manifest(folder, kind="store", name=name, figures=figures, command=run.record().command, run=run.slug)
    publish(folder, target)
    return target


def captured(
    subject: Subject,
    points: Sequence[HookPoint],
    inputs: Tensor,
    valid: Tensor | None,
    *,
    batch: int,
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    """`x.<n>` (`chunk pos d` in `dtype`) and `norm.<n>` (`chunk pos`) of each point, in its order.

    `inputs`: `chunk ...`, `valid`: `chunk pos` or None for all; `batch` chunks go through the subject at a
    time. Raises `WorkbenchError` when an activation is not finite.
    """
    held: list[list[Tensor]] = [[] for _ in points]
    for at in range(0, len(inputs), batch):
        part = slice(at, at + batch)
        padding = None if valid is None or bool(valid[part].all()) else ~valid[part]
        with torch.no_grad(), hooked(subject, dict.fromkeys(points, keep), stop=True) as tape:
            subject.run(inputs[part], padding)
        for rows, point in zip(held, points, strict=True):
            rows.append(stored(tape.last(point), padding, point, dtype))
    tensors: dict[str, Tensor] = {}
    for number, rows in enumerate(held):
        x = torch.cat(rows)
        tensors |= {f"x.{number}": x, f"norm.{number}": x.float().norm(dim=-1)}
    return tensors


def stored(x: Tensor, padding: Tensor | None, point: HookPoint, dtype: torch.dtype) -> Tensor:
    """The activation in the store's number type, zero at padding; non-finite values are refused."""
    if padding is not None:
        x = x.masked_fill(padding[..., None], 0)
    kept = x.to("cpu", dtype)
    if not bool(torch.isfinite(kept).all()):
        where = "in the subject itself" if not bool(torch.isfinite(x).all()) else f"only after rounding to {dtype}"
        raise WorkbenchError(
            "non-finite",
            f"Activations at {point} are not finite",
            f"the values overflow {where}",
            "Capture with dtype bfloat16, or choose another layer.",
        )
    return kept


def save_shard(tensors: dict[str, Tensor], file: Path) -> None:
    """Write a shard in one step: it is there whole or not at all."""
    scratch = file.with_suffix(".part")
    save_file(tensors, scratch)
    with open(scratch, "rb") as handle:
        os.fsync(handle.fileno())
    os.replace(scratch, file)
