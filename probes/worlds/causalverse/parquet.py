"""The layout of the hub: parquet shards with each row's picture and its factors as text."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from probes.errors import WorkbenchError, first_line
from probes.formats.files import Source
from probes.worlds.causalverse.images import Picture, picture
from probes.worlds.causalverse.layouts import SHARD, Split
from probes.worlds.causalverse.metavalues import read_metavalue
from probes.worlds.causalverse.stored import MOST_ROWS, RESERVED, Rows, Stored, Value, as_ours, refuse_too_many, refused

AGAIN = "Download the split again, all its shards."
BATCH = 64  # rows of pictures in memory at once
MOST_TEXT = 2**30  # of all metavalues of a shard, in bytes


def read_parquet(root: Path, split: Split, size: int) -> Stored:
    """A split whose shards lie in `split.place`; its pictures `3 size size`.

    `render_path` is where a picture once was on another machine: it is never opened, nor is any path beside a picture.

    Raises `WorkbenchError` where pyarrow is not installed, a shard is missing or damaged, or a column is.
    """
    shards = [_opened(path) for path in _paths(root, split)]
    sizes = [int(shard.metadata.num_rows) for shard in shards]
    refuse_too_many(sum(sizes), MOST_ROWS, split.name, "rows")
    metas = [read_metavalue(text, f"row {at} of {split.name}") for at, text in enumerate(_texts(shards, split.name), 1)]
    if not metas:
        raise refused(split.name, "its shards have no rows", AGAIN)
    columns = {
        name: [meta.get(name) for meta in metas] for name in dict.fromkeys(key for meta in metas for key in meta)
    }
    ids = _as_text(columns.get("id")) or [str(at) for at in range(len(metas))]
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
        file = parquet.ParquetFile(path)
    except Exception as error:  # pyarrow's own errors, and OSError
        raise _damaged(path.name, error) from error
    there = set(file.schema_arrow.names)
    for column in ("image", "metavalue"):
        if column not in there:
            raise refused(path.name, f"it has no column {column}", AGAIN)
    held = sum(
        file.metadata.row_group(group).column(at).total_uncompressed_size
        for group in range(file.metadata.num_row_groups)
        for at in range(file.metadata.num_columns)
        if file.metadata.schema.column(at).path == "metavalue"
    )
    refuse_too_many(held, MOST_TEXT, path.name, "bytes of metavalue")
    return file


def _texts(shards: list[Any], name: str) -> Iterator[str]:
    for shard in shards:
        for _, value in _values(shard, "metavalue", list(range(shard.metadata.num_row_groups)), 0, name):
            yield value if isinstance(value, str) else ""


def _pictures(shard: Any, wanted: set[int], name: str) -> Iterator[tuple[int, bytes]]:
    """(row, picture file) of the wanted rows of a shard; groups of rows without any are not read."""
    start = 0
    for group in range(shard.metadata.num_row_groups):
        count = shard.metadata.row_group(group).num_rows
        if wanted & set(range(start, start + count)):
            for row, value in _values(shard, "image", [group], start, name, wanted):
                yield row, _bytes(value, f"row {row + 1} of {name}")
        start += count


def _values(
    shard: Any, column: str, groups: list[int], start: int, name: str, wanted: set[int] | None = None
) -> Iterator[tuple[int, Any]]:
    """(row, value) of one column in some groups of rows, the first row of which is `start`; all rows unless told."""
    batches = shard.iter_batches(batch_size=BATCH, row_groups=groups, columns=[column])
    while True:
        try:
            batch = next(batches, None)
            if batch is None:
                return
            rows = range(start, start + batch.num_rows)
            values = [(row, batch.column(0)[row - start].as_py()) for row in rows if wanted is None or row in wanted]
        except Exception as error:  # pyarrow's own errors for a damaged page, and text that is no UTF-8
            raise _damaged(name, error) from error
        yield from values
        start += batch.num_rows


def _bytes(value: Any, what: str) -> bytes:
    """The picture itself; the path that may stand beside it is never followed."""
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise refused(what, "its image holds no bytes, and a path in its place is never followed", AGAIN)
    return content


def _as_text(column: list[Value] | None) -> list[str] | None:
    return None if column is None else ["" if value is None else str(value) for value in column]


def _damaged(name: str, error: Exception) -> WorkbenchError:
    return refused(name, f"it is no parquet file that can be read ({first_line(error)[:120]})", AGAIN)
