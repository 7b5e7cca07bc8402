"""Prompts for an image subject: a list, or a template over the entries of a captioned corpus."""

from __future__ import annotations

import hashlib
import string
from pathlib import Path
from typing import Any, NamedTuple

from probes.activations.corpora import read_corpus
from probes.activations.store import Split
from probes.errors import WorkbenchError


class Prompt(NamedTuple):
    """One prompt, which part of the data its images belong to, and what is known about it."""

    text: str
    split: Split
    labels: dict[str, Any]


def read_prompts(ref: str, template: str, held_out: float) -> list[Prompt]:
    """Every prompt once, in the order given.

    A text of several lines is the list itself, and so is, without a template, a `.txt` file: one prompt per line.
    Any other corpus, and every corpus with a template, gives one prompt per entry: its text, or the template with
    `{text}` and the entry's labels filled in. About a share of `held_out` of the prompts, chosen by their text
    alone, is kept from training.

    Raises `WorkbenchError` for what cannot be read, for fields an entry lacks, and for fewer than two prompts.
    """
    found: dict[str, dict[str, Any]] = {}
    listed = _listed(ref, template)
    if listed is not None:
        found |= {_filled(template, {"text": line}, line) if template else line: {} for line in listed}
    else:
        for document in read_corpus(ref):
            known = {"text": " ".join(document.text.split()), **document.labels}
            found.setdefault(_filled(template or "{text}", known, document.id), document.labels)
    if len(found) < 2:
        raise WorkbenchError(
            "too-few-prompts",
            f"{ref[:80]!r} gives {len(found)} prompts",
            "some are trained on and others held out",
            "Give at least two different prompts.",
        )
    ranked = sorted(found, key=lambda text: hashlib.sha256(f"split{text}".encode()).digest())
    kept = set(ranked[: min(max(1, round(held_out * len(found))), len(found) - 1)])
    return [Prompt(text, "held_out" if text in kept else "train", labels) for text, labels in found.items()]


def _listed(ref: str, template: str) -> list[str] | None:
    """The lines of a list of prompts; None for a corpus."""
    path = Path(ref).expanduser()
    if "\n" in ref.strip():
        text = ref
    elif not template and path.suffix == ".txt" and path.is_file():
        text = path.read_text("utf-8")
    else:
        return None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _filled(template: str, known: dict[str, Any], entry: str) -> str:
    """The template with an entry's fields in it: plain names only, no attributes and no indices."""
    parts = []
    for text, name, _, _ in string.Formatter().parse(template):
        parts.append(text)
        if name is None:
            continue
        if name not in known:
            raise WorkbenchError(
                "no-such-field",
                f"The template asks for {{{name}}}",
                f"entry {entry} has {', '.join(sorted(known))}",
                "Use these names.",
            )
        parts.append(str(known[name]))
    return " ".join("".join(parts).split())
