"""The exported layout: one CSV per split beside its pictures."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from probes.worlds.causalverse.images import Picture, picture_file
from probes.worlds.causalverse.layouts import Split
from probes.worlds.causalverse.paths import named_file
from probes.worlds.causalverse.stored import (
    MOST_COLUMNS,
    MOST_ROWS,
    MOST_VALUES,
    RESERVED,
    Rows,
    Stored,
    quoted,
    refuse_too_many,
    refused,
)

MOST_BYTES = 256 * 2**20
AGAIN = "Export the split again, or correct the table."


def read_exported(root: Path, split: Split, size: int) -> Stored:
    """A split of `root`, which is resolved; its pictures `3 size size`.

    Raises `WorkbenchError` for a table without the columns it needs or with ragged rows, and for a picture that is
    missing or lies outside of `root`.
    """
    table = _table(split.place)
    name = split.place.name
    if "render_path" not in table:
        raise refused(name, "it has no column render_path, which says where each row's picture is", AGAIN)
    # The export writes paths from the root; the published training scripts read them from beside the table.
    bases = (root, split.place.parent)
    paths = [
        named_file(bases, root, text, f"row {at} of {name}") for at, text in enumerate(table["render_path"], start=1)
    ]
    ids = table.get("id") or [str(at) for at in range(len(paths))]
    views = table.get("view") or table.get("domain")
    factors = {column: values for column, values in table.items() if column not in RESERVED}

    def read(rows: Rows) -> Picture:
        return np.stack([picture_file(paths[at], size, f"The picture of row {at + 1} of {name}") for at in rows])

    return Stored(name, ids, ids, views, factors, (3, size, size), read)


def _table(path: Path) -> dict[str, list[str]]:
    """Column to its texts. Nothing a cell says is run, opened or followed: a formula is text like any other."""
    if path.stat().st_size > MOST_BYTES:
        raise refused(path.name, f"it has more than {MOST_BYTES >> 20} MiB", AGAIN)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _columns(csv.reader(file, strict=True), path.name)
    except (OSError, UnicodeDecodeError, csv.Error) as error:  # csv refuses fields of more than 131,072 characters
        raise refused(path.name, f"it is no readable table ({str(error)[:120]})", AGAIN) from error


def _columns(lines: Iterator[list[str]], name: str) -> dict[str, list[str]]:
    header = [column.strip() for column in next(lines, [])]
    refuse_too_many(len(header), MOST_COLUMNS, name, "columns")
    if not header or "" in header or len(set(header)) < len(header):
        twice = next((column for column in header if header.count(column) > 1), "")
        why = f"the column {quoted(twice)} is there twice" if twice else "a column has no name"
        raise refused(name, why, AGAIN)
    rows: list[list[str]] = []
    for line in lines:
        if len(line) not in (0, len(header)):
            raise refused(name, f"row {len(rows) + 1} has {len(line)} values for {len(header)} columns", AGAIN)
        if line:
            rows.append(line)
            refuse_too_many(len(rows), MOST_ROWS, name, "rows")
            refuse_too_many(len(rows) * len(header), MOST_VALUES, name, "values in all columns")
    if not rows:
        raise refused(name, "it has no rows", AGAIN)
    return {column: list(values) for column, values in zip(header, zip(*rows, strict=True), strict=True)}
