"""Text corpora: a reference in, documents out. Bundled, files, folders, JSON lines; nothing is fetched."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from probes.errors import WorkbenchError

BUNDLED = Path(__file__).resolve().parents[2] / "assets" / "corpora"
TEXT_SUFFIXES = (".txt", ".md")
LINES_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.xz")
SEPARATOR = re.compile(r"\f|^---[ \t]*$", re.MULTILINE)
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")


@dataclass(frozen=True)
class Document:
    """One text with an id that is unique in its corpus, and what is known about it.

    `tokens` are its token ids where it never was anything else: sampled from the subject itself.
    """

    id: str
    text: str
    labels: dict[str, Any] = field(default_factory=dict)
    tokens: tuple[int, ...] | None = None


def bundled_names() -> list[str]:
    """The corpora that ship with the workbench, as `bundled/<name>`."""
    return sorted(f"bundled/{path.name.removesuffix('.jsonl.xz')}" for path in BUNDLED.glob("*.jsonl.xz"))


def read_corpus(ref: str) -> Iterator[Document]:
    """The documents of one or more corpora, in a fixed order; blank documents are left out.

    `ref` is `bundled/<name>`, a `.txt` or `.md` file, a `.jsonl`, `.jsonl.gz` or `.jsonl.xz` file whose
    lines have a `text` field (and may have `id` and `labels`), a folder of text files, or several of
    these joined by commas. A text file is one document, unless form feeds or lines of `---` separate
    several. With several corpora each id is led by its corpus.

    Raises `WorkbenchError` when something is missing, empty, binary, not UTF-8, or not JSON lines.
    """
    parts = [part.strip() for part in ref.split(",") if part.strip()]
    if not parts:
        raise WorkbenchError("no-corpus", "No corpus was named", "the reference is empty", _how())
    ids: set[str] = set()
    for part in parts:
        found = False
        for document in _read(part):
            if not document.text.strip():
                continue
            found = True
            if len(parts) > 1:
                document = Document(f"{_short(part)}/{document.id}", document.text, document.labels)
            if document.id in ids:
                raise WorkbenchError(
                    "repeated-document",
                    f"The corpus {ref!r} names two documents {document.id!r}",
                    "the split into training and held-out text goes by document id",
                    "Give every document its own id, and name every corpus once.",
                )
            ids.add(document.id)
            yield document
        if not found:
            raise WorkbenchError(
                "empty-corpus",
                f"The corpus {part!r} is empty",
                "it holds no text",
                "Give a corpus with text in it.",
            )


def held_out(document_id: str, share: float = 1 / 8) -> bool:
    """Whether a document is held out. Depends on its id alone, so seeds, reruns and subsets agree."""
    digest = hashlib.sha256(b"held-out\0" + document_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def split(documents: Iterable[Document], share: float = 1 / 8) -> tuple[list[Document], list[Document]]:
    """(training, held out) documents, each in the order given; about `share` of them are held out."""
    parts: tuple[list[Document], list[Document]] = ([], [])
    for document in documents:
        parts[held_out(document.id, share)].append(document)
    return parts


def _read(ref: str) -> Iterator[Document]:
    if ref.startswith("bundled/"):
        yield from _read_lines(_bundled(ref))
        return
    path = Path(ref).expanduser()
    if path.is_dir():
        yield from _read_folder(path)
    elif not path.is_file():
        raise WorkbenchError("no-such-corpus", f"There is no corpus {ref!r}", "no such file or folder exists", _how())
    elif path.name.endswith(LINES_SUFFIXES):
        yield from _read_lines(path)
    elif path.name.endswith(TEXT_SUFFIXES):
        yield from _read_text(path, path.name)
    else:
        raise WorkbenchError(
            "corpus-format",
            f"{path.name} is in no format the workbench reads",
            f"its name ends in none of {', '.join(TEXT_SUFFIXES + LINES_SUFFIXES)}",
            "Convert it to plain text or JSON lines, or correct its name.",
        )


def _bundled(ref: str) -> Path:
    if ref not in bundled_names():
        raise WorkbenchError("no-such-corpus", f"There is no corpus {ref!r}", "no such corpus is bundled", _how())
    return BUNDLED / f"{ref.removeprefix('bundled/')}.jsonl.xz"


def _read_folder(folder: Path) -> Iterator[Document]:
    """Every text file below a folder, by path; ids are paths relative to the folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name.endswith(TEXT_SUFFIXES):
            yield from _read_text(path, path.relative_to(folder).as_posix())


def _read_text(path: Path, name: str) -> Iterator[Document]:
    with _readable(path), open(path, "rb") as handle:
        text = _decoded(handle.read(), path.name)
    pieces = [piece.strip() for piece in SEPARATOR.split(text)]
    kept = [piece for piece in pieces if piece]
    for number, piece in enumerate(kept):
        yield Document(name if len(kept) == 1 else f"{name}#{number}", piece)


def _read_lines(path: Path) -> Iterator[Document]:
    offset = 0
    with _readable(path), _opened(path) as handle:
        for number, raw in enumerate(handle, start=1):
            line = _decoded(raw, path.name, offset)
            offset += len(raw)
            if line.strip():
                yield _from_json(line, path.name, number)


def _from_json(line: str, name: str, number: int) -> Document:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _bad_line(name, number, "it is not JSON") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise _bad_line(name, number, "it is no object with a text field")
    labels = row.get("labels", {})
    if not isinstance(labels, dict):
        raise _bad_line(name, number, "its labels are no object")
    return Document(str(row.get("id", f"{name}#{number}")), row["text"], labels)


def _bad_line(name: str, number: int, why: str) -> WorkbenchError:
    return WorkbenchError(
        "bad-corpus-line",
        f"Line {number} of {name} is not usable",
        why,
        'Write one object per line, such as {"text": "...", "labels": {"topic": "..."}}.',
    )


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what the operating system and the decompressors say into one sentence."""
    try:
        yield
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise WorkbenchError(
            "unreadable-corpus",
            f"{path.name} could not be read",
            str(error) or type(error).__name__,
            "Check the file and its permissions, or make it again.",
        ) from error


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".xz":
        return lzma.open(path, "rb")
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return open(path, "rb")


def _decoded(raw: bytes, name: str, offset: int = 0) -> str:
    """UTF-8 text with newlines as `\\n` and no byte-order mark; `offset` is where `raw` starts."""
    control = CONTROL.search(raw)
    if control is not None:
        raise WorkbenchError(
            "binary-corpus",
            f"{name} is not text",
            f"byte {offset + control.start()} is the control character 0x{control[0][0]:02x}",
            "Give plain text or JSON lines.",
        )
    try:
        return raw.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise WorkbenchError(
            "not-utf-8",
            f"{name} is not UTF-8",
            f"byte {offset + error.start} (0x{raw[error.start]:02x}) begins no character",
            "Save it as UTF-8 and try again.",
        ) from None


def _short(ref: str) -> str:
    return ref if ref.startswith("bundled/") else Path(ref).name


def _how() -> str:
    known = ", ".join(bundled_names())
    return f"Give a text file, a folder, a .jsonl file, sampled/<tokens>, or one of {known}."
