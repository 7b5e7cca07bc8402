"""Text sampled from the subject itself, as a corpus: `sampled/<tokens>` beside or instead of files.

Every token is a function of (seed, document, step), so a stopped capture goes on where it was and the same
settings give the same documents. They are kept with the store, ids first: text is for reading.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from probes.activations.corpora import Document
from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.files import atomic_write
from probes.subjects.text_autoregressive import TextAutoregressive

PREFIX = "sampled/"
PATIENCE = 8  # how many times the batches that full-length documents would need


class SamplingConfig(Frozen):
    """How documents are sampled from the subject, for a corpus of sampled/<tokens>."""

    seed: int = Field(default=0, description="Seed of all documents.", ge=0, lt=2**31)
    temperature: float = Field(
        default=1.0, description="Sampling temperature; 1 is the subject's own distribution.", gt=0, le=10
    )
    document_tokens: int = Field(
        default=256,
        description="Most tokens of one document; it ends earlier where the subject ends it.",
        ge=32,
        le=8192,
    )
    prompts: tuple[str, ...] = Field(
        default=(),
        description="Openings that documents take turns with; none starts from the beginning-of-text token.",
    )
    batch: int = Field(default=32, description="Documents sampled together.", ge=1, le=1024)


def sampled_share(corpus: str) -> tuple[str, int]:
    """(the corpora that are read, how many tokens are sampled): `a.txt,sampled/40000` is ("a.txt", 40000).

    Raises `WorkbenchError` when the number is none.
    """
    parts = [part.strip() for part in corpus.split(",") if part.strip()]
    wanted = [part.removeprefix(PREFIX).replace("_", "") for part in parts if part.startswith(PREFIX)]
    if any(not (number.isascii() and number.isdigit() and int(number) > 0) for number in wanted):
        raise WorkbenchError(
            "bad-sample",
            f"{PREFIX}{next(iter(wanted))} is no corpus",
            "a number of tokens is missing",
            "Write it like sampled/40000.",
        )
    return ",".join(part for part in parts if not part.startswith(PREFIX)), sum(map(int, wanted))


def sample_documents(
    subject: TextAutoregressive,
    tokens: int,
    config: SamplingConfig,
    folder: Path,
    *,
    report: Callable[[int], None] = lambda tokens: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Document] | None:
    """At least `tokens` tokens of documents, batch by batch; a batch that `folder` holds is not drawn again.

    Returns None when asked to stop. Raises `WorkbenchError` when the subject has neither a token to begin
    with nor a prompt, and when it ends nearly every document at once.
    """
    openings = _openings(subject, config.prompts)
    folder.mkdir(exist_ok=True)
    documents: list[Document] = []
    total, number = 0, 0
    most = PATIENCE * (1 + tokens // (config.document_tokens * config.batch))
    while total < tokens:
        if number >= most:
            raise WorkbenchError(
                "empty-sample",
                f"{subject.name} writes too little by itself",
                f"{len(documents)} documents gave {total} of {tokens} tokens",
                "Give sampling.prompts, or ask for fewer tokens.",
            )
        file = folder / f"{number:05d}.jsonl"
        if not file.is_file():
            if stop():
                return None
            rows = _draw(subject, openings[number % len(openings)], number * config.batch, config)
            atomic_write(file, "".join(json.dumps(row) + "\n" for row in rows))
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["tokens"]:
                documents.append(Document(row["id"], row["text"], row["labels"], tuple(row["tokens"])))
                total += len(row["tokens"])
        number += 1
        report(total)
    return documents


def write_documents(documents: Sequence[Document], path: Path) -> None:
    """The sampled documents as JSON lines that a later capture can read as a corpus of its own."""
    rows = ({"id": d.id, "text": d.text, "labels": d.labels, "tokens": d.tokens} for d in documents)
    atomic_write(path, "".join(json.dumps(row) + "\n" for row in rows))


def _openings(subject: TextAutoregressive, prompts: Sequence[str]) -> list[tuple[str, Tensor]]:
    """(prompt, token ids `1 pos`): the beginning token where the tokenizer adds one, then the prompt."""
    facts = subject.facts
    begin = facts.bos_id if facts.bos_id is not None else facts.eos_id
    if prompts:
        lead = [begin] if facts.adds_bos and begin is not None else []
        ids = [lead + subject.tokenizer(text, add_special_tokens=False).input_ids for text in prompts]
        if all(ids):
            return list(zip(prompts, (torch.tensor([one]) for one in ids), strict=True))
    if prompts or begin is None:
        raise WorkbenchError(
            "no-opening",
            f"Nothing can be sampled from {subject.name}",
            "a prompt is empty" if prompts else "its tokenizer names no token that begins a text",
            "Give sampling.prompts, each with some text.",
        )
    return [("", torch.tensor([[begin]]))]


def _draw(
    subject: TextAutoregressive, opening: tuple[str, Tensor], first: int, config: SamplingConfig
) -> list[dict[str, Any]]:
    """One batch of documents as plain rows: what was generated up to the first special token."""
    prompt, start = opening
    numbers = range(first, first + config.batch)
    made = subject.generate(
        start.repeat(config.batch, 1),
        seeds=[config.seed * 1_000_003 + number for number in numbers],
        max_new_tokens=config.document_tokens,
        temperature=config.temperature,
    )
    labels = {"sampled": True, "seed": config.seed, "temperature": config.temperature, "prompt": prompt}
    rows = []
    for number, ids in zip(numbers, made.tokens.tolist(), strict=True):
        kept = _until_special(ids[made.prompt_length :], subject.facts.special_ids)
        kept = [one for one in start[0].tolist() if one not in subject.facts.special_ids] + kept
        text = subject.tokenizer.decode(kept)
        rows.append({"id": f"{PREFIX}{config.seed}-{number:06d}", "text": text, "labels": labels, "tokens": kept})
    return rows


def _until_special(ids: Sequence[int], special: frozenset[int]) -> list[int]:
    end = next((at for at, one in enumerate(ids) if one in special), len(ids))
    return list(ids[:end])
