"""Capture: text in, activation store out. Resumes shard by shard; the bytes are stated first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from probes.activations.corpora import Document, read_corpus
from probes.activations.registry import Capture
from probes.activations.sampling import SamplingConfig, sample_documents, sampled_share, write_documents
from probes.activations.shards import Planned, captured, finish_store, write_shards
from probes.activations.store import (
    SINK_MULTIPLE,
    DocumentInfo,
    PointInfo,
    ShardInfo,
    Split,
    StoreIndex,
    is_special,
)
from probes.artefacts import artefact_path
from probes.configs import AsText, Frozen
from probes.errors import WorkbenchError
from probes.files import ensure_space
from probes.hooks import HookPoint, keep
from probes.runs import Run
from probes.subjects.loading import load_subject
from probes.subjects.text_autoregressive import TextAutoregressive

SHARD_CHUNKS = 256
MINIMUM_TAIL = 16
NORM_CHUNKS = 64


class CaptureConfig(Frozen):
    """Run a subject over a corpus and keep its activations at chosen hook points."""

    name: str = Field(description="Name of the store to make.", min_length=1, max_length=64)
    subject: Annotated[str, AsText(offered="probes.subjects.open_text:shipped")] = Field(
        default="bundled/smollm2-135m", description="Bundled subject, model folder, GGUF file or hub id."
    )
    corpus: str = Field(
        default="bundled/state-of-the-union,bundled/moby-dick",
        description="Text file, folder, .jsonl file, bundled corpus, or sampled/<tokens> for text sampled "
        "from the subject itself; several separated by commas.",
    )
    layers: tuple[float, ...] = Field(
        default=(0.2, 0.5, 0.8),
        description="Where to read, as fractions of the subject's depth.",
        min_length=1,
    )
    points: tuple[str, ...] = Field(
        default=(), description="Hook points to read instead of layers, such as model.layers.5.mlp:in."
    )
    context: int = Field(default=128, description="Tokens per chunk.", ge=8, le=8192)
    max_tokens: int = Field(default=1_200_000, description="Stop after this many tokens.", ge=64)
    document_chunks: int | None = Field(
        default=None,
        description="Most chunks of one training document, spread evenly over it; empty for all of them.",
        ge=1,
    )
    held_out: float = Field(default=0.125, description="Share of documents kept from training.", gt=0, lt=0.9)
    batch: int = Field(default=32, description="Chunks per forward pass.", ge=1, le=1024)
    sampling: SamplingConfig = Field(
        default=SamplingConfig(), description="How documents of a sampled corpus are drawn."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="The subject's number type."
    )
    device: str = Field(default="auto", description="Where the subject runs: auto, cpu, cuda or mps.")
    offline: bool = Field(default=True, description="Never fetch a model from a hub.")


class Chunk(NamedTuple):
    """At most `context` token ids of one document, starting at token `start` of it."""

    document: int
    start: int
    tokens: list[int]


class Plan(NamedTuple):
    """What a capture will do, known before it starts."""

    documents: list[DocumentInfo]
    chunks: dict[Split, list[Chunk]]
    tokens: int
    bytes: int


class Reading(NamedTuple):
    """A hook point to capture, where it lies in the depth (0 to 1), and how wide its activations are."""

    point: HookPoint
    fraction: float
    width: int


def plan_capture(config: CaptureConfig, subject: TextAutoregressive, sampled: Sequence[Document] = ()) -> Plan:
    """Tokenise, split by document, cut into chunks, and estimate the store's bytes. `sampled` documents
    join those of the corpora that are read.

    Raises `WorkbenchError` for an empty corpus or one with no held-out or no training document.
    """
    documents: list[DocumentInfo] = []
    chunks: dict[Split, list[Chunk]] = {"train": [], "held_out": []}
    total = 0
    to_read, _ = sampled_share(config.corpus)
    read = read_corpus(to_read) if to_read or not sampled else ()
    texts = sorted([*read, *sampled], key=lambda document: _hashed(document.id))
    if len(texts) == 1:
        texts = _parts_of(texts[0])
    for document in texts:
        if total >= config.max_tokens:
            break
        split: Split = "held_out" if _hashed("split" + document.id) / 2**64 < config.held_out else "train"
        ids = _ids_of(document, subject)
        pieces = _cut(ids, config.context, subject, len(documents))
        if split == "train":
            pieces = _spread(pieces, config.document_chunks)
        pieces = _within(pieces, config.max_tokens - total)
        if pieces:
            documents.append(DocumentInfo(id=document.id, split=split, labels=document.labels))
            chunks[split] += pieces
            total += sum(len(piece.tokens) for piece in pieces)
    if not chunks["train"] or not chunks["held_out"]:
        raise WorkbenchError(
            "corpus-too-small",
            f"The corpus {config.corpus!r} is too small",
            f"{len(documents)} documents with {total} tokens leave nothing for "
            + ("training" if not chunks["train"] else "the held-out part"),
            "Give more text, split it into several documents, or change held_out.",
        )
    rows = sum(len(part) for part in chunks.values()) * config.context
    size = 4 if subject.dtype == torch.float32 and config.dtype == "float32" else 2
    row = sum(reading.width * size + 4 for reading in readings(config, subject))
    return Plan(documents, chunks, total, rows * (row + 5))


def readings(config: CaptureConfig, subject: TextAutoregressive) -> list[Reading]:
    """What a capture reads. Raises `WorkbenchError` for a point the subject lacks and for one named twice."""
    if config.points:
        points = [HookPoint.parse(text) for text in config.points]
        seen = subject.activations(torch.zeros(1, 2, dtype=torch.long), dict.fromkeys(points, keep))
        found = [Reading(point, subject.fraction_of(point), seen[point].shape[-1]) for point in points]
    else:
        found = [Reading(subject.layer_at(part), part, subject.d_model) for part in config.layers]
    if len({reading.point for reading in found}) < len(found):
        raise WorkbenchError(
            "duplicate-level",
            "Two levels share a layer",
            f"{subject.name} has {subject.n_layers}",
            "Spread the fractions.",
        )
    return found


def work(config: CaptureConfig, run: Run) -> Path | None:
    """Do the whole capture, resuming what an earlier try of the same run finished.

    Returns the store, or None when it was asked to stop.
    """
    target = artefact_path("store", config.name)
    if run.made(target):
        return target
    subject = load_subject(
        config.subject, of=TextAutoregressive, dtype=config.dtype, device=config.device, offline=config.offline
    )
    reading = readings(config, subject)
    points = [found.point for found in reading]
    sampled = _sampled(config, subject, run)
    if sampled is None:
        return None
    plan = plan_capture(config, subject, sampled)
    folder = run.path / "store"
    folder.mkdir(exist_ok=True)
    if sampled:
        write_documents(sampled, folder / "sampled.jsonl")
    ensure_space(folder, plan.bytes)
    run.rewind(None)
    run.begin(steps=plan.tokens, message=f"{plan.tokens:,} tokens, {plan.bytes / 2**20:,.0f} MiB")
    store_dtype = subject.dtype if subject.dtype == torch.bfloat16 else torch.float16
    infos = _measure_norms(subject, reading, config, plan.chunks["train"][:NORM_CHUNKS])
    planned = (
        Planned(
            split,
            number,
            len(part),
            sum(len(chunk.tokens) for chunk in part),
            partial(_capture_shard, subject, points, part, config, store_dtype),
        )
        for split, number, part in _shard_plan(plan)
    )
    shards = write_shards(planned, folder, run)
    if shards is None:
        return None
    index = StoreIndex(
        subject=config.subject,
        corpus=config.corpus,
        context=config.context,
        special_ids=tuple(sorted(subject.facts.special_ids)),
        points=infos,
        shards=tuple(shards),
        documents=tuple(plan.documents),
        masked={str(info.point): _masked(folder, shards, n, info) for n, info in enumerate(infos)},
    )
    figures = {"tokens": plan.tokens, "bytes": plan.bytes, "documents": len(plan.documents)}
    return finish_store(folder, target, index, name=config.name, figures=figures, run=run)


def _ids_of(document: Document, subject: TextAutoregressive) -> list[int]:
    if document.tokens is not None:
        return list(document.tokens)
    ids: list[int] = subject.tokenizer(document.text, add_special_tokens=False, verbose=False).input_ids
    return ids


def _sampled(config: CaptureConfig, subject: TextAutoregressive, run: Run) -> list[Document] | None:
    """The documents a sampled corpus asks for, none where it asks for none; None when asked to stop."""
    _, tokens = sampled_share(config.corpus)
    if not tokens:
        return []
    run.begin(steps=tokens, message=f"sampling {tokens:,} tokens from {subject.name}")
    return sample_documents(
        subject,
        tokens,
        config.sampling,
        run.path / "sampled",
        report=lambda done: run.progress(min(done, tokens)),
        stop=run.stop_requested,
    )


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _parts_of(document: Document, parts: int = 16) -> list[Document]:
    """A single text, cut at paragraph ends into parts, so that some of it can be held out."""
    paragraphs = document.text.split("\n\n")
    if len(paragraphs) < parts:
        paragraphs = document.text.splitlines(keepends=True)
    size = max(1, -(-len(paragraphs) // parts))
    joined = ["\n\n".join(paragraphs[at : at + size]) for at in range(0, len(paragraphs), size)]
    made = [Document(f"{document.id}#{n}", text, document.labels) for n, text in enumerate(joined) if text.strip()]
    return sorted(made, key=lambda part: _hashed(part.id))


def _cut(ids: list[int], context: int, subject: TextAutoregressive, document: int) -> list[Chunk]:
    """Chunks of `context` tokens, each opened by the beginning-of-text token where the tokenizer adds one."""
    lead = [subject.facts.bos_id] if subject.facts.adds_bos and subject.facts.bos_id is not None else []
    room = context - len(lead)
    cut = [Chunk(document, at, lead + ids[at : at + room]) for at in range(0, len(ids), room)]
    return [chunk for chunk in cut if len(chunk.tokens) >= MINIMUM_TAIL]


def _spread(chunks: list[Chunk], most: int | None) -> list[Chunk]:
    """At most so many chunks, evenly spread."""
    if most is None or len(chunks) <= most:
        return chunks
    return [chunks[(2 * at + 1) * len(chunks) // (2 * most)] for at in range(most)]


def _within(chunks: list[Chunk], tokens: int) -> list[Chunk]:
    """The first chunks that hold at most `tokens` tokens, the last one cut."""
    kept: list[Chunk] = []
    for chunk in chunks:
        if tokens < MINIMUM_TAIL:
            break
        kept.append(chunk._replace(tokens=chunk.tokens[:tokens]))
        tokens -= len(kept[-1].tokens)
    return kept


def _shard_plan(plan: Plan) -> Iterator[tuple[Split, int, list[Chunk]]]:
    for split, chunks in plan.chunks.items():
        for number, at in enumerate(range(0, len(chunks), SHARD_CHUNKS)):
            yield split, number, chunks[at : at + SHARD_CHUNKS]


def padded(chunks: Sequence[Chunk], context: int, pad: int) -> tuple[Tensor, Tensor]:
    """(`chunk pos` token ids, `chunk pos` valid): shorter chunks are padded on the right."""
    tokens = torch.full((len(chunks), context), pad, dtype=torch.long)
    valid = torch.zeros(len(chunks), context, dtype=torch.bool)
    for row, chunk in enumerate(chunks):
        tokens[row, : len(chunk.tokens)] = torch.tensor(chunk.tokens)
        valid[row, : len(chunk.tokens)] = True
    return tokens, valid


def _capture_shard(
    subject: TextAutoregressive,
    points: Sequence[HookPoint],
    chunks: Sequence[Chunk],
    config: CaptureConfig,
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    tokens, valid = padded(chunks, config.context, subject.facts.pad_id or 0)
    return {
        "tokens": tokens.int(),
        "valid": valid,
        "document": torch.tensor([chunk.document for chunk in chunks], dtype=torch.int32),
        "start": torch.tensor([chunk.start for chunk in chunks], dtype=torch.int32),
        **captured(subject, points, tokens, valid, batch=config.batch, dtype=dtype),
    }


def _measure_norms(
    subject: TextAutoregressive, reading: Sequence[Reading], config: CaptureConfig, chunks: Sequence[Chunk]
) -> tuple[PointInfo, ...]:
    """The median norm per point over the first chunks (no padding, no special tokens), and the positions
    whose own median is far above it: a language model parks massive activations at the first position."""
    tokens, valid = padded(chunks, config.context, subject.facts.pad_id or 0)
    seen = subject.activations(tokens, {found.point: keep for found in reading}, ~valid)
    use = valid & ~is_special(tokens, tuple(subject.facts.special_ids))
    infos = []
    for point, fraction, width in reading:
        norm = seen[point].cpu().float().norm(dim=-1).masked_fill(~use, torch.nan)
        median = float(norm.nanmedian())
        sinks = (norm.nanmedian(dim=0).values > SINK_MULTIPLE * median).nonzero().flatten()
        infos.append(
            PointInfo(
                point=point,
                d_model=width,
                fraction=fraction,
                median_norm=median,
                sink_positions=tuple(int(position) for position in sinks),
            )
        )
    return tuple(infos)


def _masked(folder: Path, shards: Sequence[ShardInfo], number: int, info: PointInfo) -> dict[str, float]:
    """What masking removed at one point: how many tokens, where they stand, how large the largest is."""
    from safetensors import safe_open

    total, first, second, elsewhere, largest = 0, 0, 0, 0, 0.0
    for shard in shards:
        with safe_open(folder / shard.file, framework="pt") as handle:
            norm, valid = handle.get_tensor(f"norm.{number}"), handle.get_tensor("valid")
        out = valid & info.outliers(norm, torch.arange(norm.shape[1]))
        total += int(valid.sum())
        first, second = first + int(out[:, 0].sum()), second + int(out[:, 1].sum())
        elsewhere += int(out[:, 2:].sum())
        largest = max(largest, float(norm[valid].max()))
    return {
        "tokens": total,
        "median_norm": info.median_norm,
        "largest_norm": largest,
        "masked_first_position": first,
        "masked_second_position": second,
        "masked_elsewhere": elsewhere,
    }


CAPTURE = Capture(CaptureConfig, work)
