"""The metrics log: one JSON object a line, appended. A line without its newline was never written."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probes.errors import WorkbenchError
from probes.files import disk_errors


def read_rows(path: Path, start: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Complete rows from byte `start` on, and the byte after the last of them.

    Hand the second value back as `start` to read only what is new. A torn last row is left out; a damaged
    row in the middle (a hole left by a crash) is passed over.
    """
    if not path.is_file():
        return [], 0
    with path.open("rb") as file:
        file.seek(start)
        content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    return [row for line in whole.splitlines() if (row := _row(line)) is not None], start + len(whole)


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and "step" in row else None


class MetricsLog:
    """The writing end. Opening it cuts off a torn last row, so that the next row starts on its own line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b", buffering=0)
        self._path = path
        self.cut(read_rows(path)[1])

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Write one row; NaN and infinity, which JSON does not have, become null."""
        if "step" in values:
            raise WorkbenchError("bad-metric", "A metric is called step", "rows have a step", "Rename the metric.")
        numbers = {name: float(value) for name, value in values.items()}
        row = {"step": int(step)} | {name: v if math.isfinite(v) else None for name, v in numbers.items()}
        line = json.dumps(row, allow_nan=False).encode() + b"\n"
        before = self._file.seek(0, os.SEEK_END)
        with disk_errors(self._path, len(line)):
            try:
                if self._file.write(line) != len(line):
                    raise OSError(28, os.strerror(28))
            except OSError:
                self._file.truncate(before)
                raise

    def cut(self, length: int) -> None:
        """Shorten the log to `length` bytes."""
        if self._file.seek(0, os.SEEK_END) > length:
            self._file.truncate(length)

    def flush(self) -> int:
        """Make everything written so far durable; returns the length in bytes."""
        os.fsync(self._file.fileno())
        return self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        self._file.close()
