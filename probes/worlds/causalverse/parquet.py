"""The layout of the hub: parquet shards with each row's picture and its factors as text."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from probes.errors import WorkbenchError, first_line
from probes.formats.files import Source
from probes.worlds.causalverse.gathered import gathered
from probes.worlds.causalverse.images import Picture, picture
from probes.worlds.causalverse.layouts import SHARD, Split
from probes.worlds.causalverse.metavalues import HOW, LONGEST
from probes.worlds.causalverse.stored import (
    MOST_ROWS,
    RESERVED,
    Column,
    Rows,
    Stored,
    as_ours,
    refuse_too_many,
    refused,
)

AGAIN = "Download the split again, all its shards."
BATCH = 64  # rows of pictures in memory at once, fewer where their groups are large
TEXTS = 256  # rows of metavalues
MOST_AT_ONCE = 2**30  # bytes of a batch of pictures, were each as large as its whole group of rows
MOST_TEXT = 2**28  # of all metavalues of a shard as they are stored, in bytes; those that repeat are stored once
TEXT = ("string", "large_string", "dictionary<values=string", "dictionary<values=large_string")


def read_parquet(root: Path, split: Split, size: int) -> Stored:
    """A split whose shards lie in `split.place`; its pictures `3 size size`.

    `render_path` is where a picture once was on another machine: it is never opened, nor is any path beside a picture.

    Raises `WorkbenchError` where pyarrow is not installed, a shard is missing or damaged, or a column is.
    """
    shards = [_opened(path) for path in _paths(root, split)]
    sizes = [int(shard.metadata.num_rows) for shard in shards]
    refuse_too_many(sum(sizes), MOST_ROWS, split.name, "rows")
    if not sum(sizes):
        raise refused(split.name, "its shards have no rows", AGAIN)
    columns = gathered(_texts(shards, split.name), sum(sizes), split.name)
    ids = _as_text(columns.get("id")) or [str(at) for at in range(sum(sizes))]
    views = _as_text(columns.get("view")) or _as_text(columns.get("domain"))
    factors = {name: values for name, values in columns.items() if name not in RESERVED}
    ends = np.cumsum(sizes)

    def read(rows: Rows) -> Picture:
        found = np.zeros((len(rows), 3, size, size), dtype=np.uint8)
        shard_of = np.searchsorted(ends, rows, side="right")
        for at in np.unique(shard_of):
            places = np.flatnonzero(shard_of == at)
            wanted = {
                int(row): int(place) for row, place in zip(rows[places] - (ends[at] - sizes[at]), places, strict=True)
            }
            for row, content in _pictures(shards[at], set(wanted), split.name):
                found[wanted[row]] = picture(
                    content, size, f"The picture of row {row + 1} of shard {at} of {split.name}"
                )
        return found

    return Stored(split.name, ids, ids, views, factors, (3, size, size), read)


def _paths(root: Path, split: Split) -> list[Path]:
    """All shards of a split in order. In the hub's own cache files are links to blobs beside it: those are inside."""
    named = [found for found in (SHARD.fullmatch(path.name) for path in split.place.iterdir()) if found]
    mine = {int(found[2]): found for found in named if found[1] == split.name}
    of = max(int(found[3]) for found in mine.values())
    missing = [at for at in range(min(of, MOST_ROWS)) if at not in mine]
    if missing or len({found[3] for found in mine.values()}) > 1:
        raise refused(split.name, f"shard {missing[0] if missing else of} of {of} is missing", AGAIN)
    source = Source(root)
    with as_ours(split.name, "Copy the shards themselves into the folder."):
        return [source.path((split.place / mine[at][0]).relative_to(root).as_posix()) for at in sorted(mine)]


def _opened(path: Path) -> Any:
    """A `pyarrow.parquet.ParquetFile` that has the columns needed."""
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError:
        raise WorkbenchError(
            "library-missing",
            "Parquet shards cannot be read",
            "pyarrow is not installed",
            "pip install fulcrum-workbench[parquet], or export the split to pictures and a CSV.",
        ) from None
    try:
        schema = parquet.read_schema(path)
        # A text that repeats stays one text: a file of few bytes can hold it for millions of rows.
        file = parquet.ParquetFile(path, read_dictionary=["metavalue"] if _has_text(schema) else None)
    except Exception as error:  # pyarrow's own errors, and OSError
        raise _damaged(path.name, error) from error
    for column in ("image", "metavalue"):
        if column not in schema.names:
            raise refused(path.name, f"it has no column {column}", AGAIN)
    if not _has_text(schema):
        raise refused(path.name, "its column metavalue holds no text", HOW)
    held = sum(_stored(file, group, "metavalue") for group in range(file.metadata.num_row_groups))
    refuse_too_many(held, MOST_TEXT, path.name, "bytes of metavalue")
    return file


def _has_text(schema: Any) -> bool:
    return "metavalue" in schema.names and str(schema.field("metavalue").type).startswith(TEXT)


def _stored(file: Any, group: int, column: str) -> int:
    """Bytes of a column, with all that lies inside it, in a group of rows, before any value is repeated."""
    chunks = file.metadata.row_group(group)
    return sum(
        chunks.column(at).total_uncompressed_size
        for at in range(file.metadata.num_columns)
        if file.metadata.schema.column(at).path.split(".")[0] == column
    )


def _texts(shards: list[Any], name: str) -> Iterator[str]:
    """The metavalue of every row; empty where there is none. Equal ones of a batch are one text."""
    row = 0
    for shard in shards:
        for batch in _batches(shard, "metavalue", list(range(shard.metadata.num_row_groups)), TEXTS, name):
            entries, known = batch.dictionary, {None: ""}
            for at, place in enumerate(batch.indices.to_pylist(), row + 1):
                if place not in known:
                    known[place] = _text(entries[place], f"row {at} of {name}", name)
                yield known[place]
            row += len(batch)


def _text(entry: Any, what: str, name: str) -> str:
    """A text of one row, measured before it is decoded."""
    size = entry.as_buffer().size
    if size > 4 * LONGEST:  # the most that so many characters take
        raise refused(what, f"its metavalue has {size:,} bytes, more than {4 * LONGEST:,}", HOW)
    try:
        return str(entry.as_py())
    except ValueError as error:  # text that is no UTF-8
        raise _damaged(name, error) from error


def _pictures(shard: Any, wanted: set[int], name: str) -> Iterator[tuple[int, bytes]]:
    """(row, picture file) of the wanted rows of a shard; groups of rows without any are not read."""
    start = 0
    for group in range(shard.metadata.num_row_groups):
        end = start + shard.metadata.row_group(group).num_rows
        if not wanted.isdisjoint(range(start, end)):
            at_once = min(BATCH, max(MOST_AT_ONCE // max(_stored(shard, group, "image"), 1), 1))
            row = start
            for batch in _batches(shard, "image", [group], at_once, name):
                for place in range(len(batch)):
                    if row + place in wanted:
                        yield row + place, _bytes(_value(batch, place, name), f"row {row + place + 1} of {name}")
                row += len(batch)
        start = end


def _batches(shard: Any, column: str, groups: list[int], rows: int, name: str) -> Iterator[Any]:
    """The values of one column in some groups of rows, so many rows at a time."""
    batches = shard.iter_batches(batch_size=rows, row_groups=groups, columns=[column])
    while True:
        try:
            batch = next(batches, None)
        except Exception as error:  # pyarrow's own errors for a damaged page
            raise _damaged(name, error) from error
        if batch is None:
            return
        yield batch.column(0)


def _value(batch: Any, place: int, name: str) -> Any:
    try:
        return batch[place].as_py()
    except Exception as error:  # a path beside the picture that is no UTF-8
        raise _damaged(name, error) from error


def _bytes(value: Any, what: str) -> bytes:
    """The picture itself; the path that may stand beside it is never followed."""
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise refused(what, "its image holds no bytes, and a path in its place is never followed", AGAIN)
    return content


def _as_text(column: Column | None) -> list[str] | None:
    return None if column is None else ["" if value is None else str(value) for value in column]


def _damaged(name: str, error: Exception) -> WorkbenchError:
    return refused(name, f"it is no parquet file that can be read ({first_line(error)[:120]})", AGAIN)
