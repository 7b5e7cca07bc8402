"""A split as it lies on disk, whatever its layout, and the one error of this package."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probes.errors import WorkbenchError

Value = str | int | float | bool | None  # of one factor in one row, as the file has it
Column = Sequence[Value] | NDArray[np.floating[Any]]  # `row`
Rows = NDArray[np.int64]
MOST_ROWS = 2_000_000
MOST_COLUMNS = 1_000
MOST_VALUES = 20_000_000  # rows times columns
RESERVED = ("id", "render_path", "view", "domain")


@dataclass(frozen=True)
class Stored:
    """Rows of a split. `name`: what refusals call it. `ids`: `row`, what the parts are split by. `scenes`: `row`,
    the same where rows differ in nothing but their view. `views`: `row`, none where the split names none.

    `factors`: name to values, `row`. `read`: different rows, in their order, to what is seen of them, `row *shape`.
    `steps`: `row`, how many rows just before it are earlier frames of its own clip; none where nothing has a past.
    """

    name: str
    ids: Sequence[str]
    scenes: Sequence[str]
    views: Sequence[str] | None
    factors: Mapping[str, Column]
    shape: tuple[int, ...]
    read: Callable[[Rows], NDArray[Any]]
    steps: Rows | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


def refused(what: str, why: str, how: str) -> WorkbenchError:
    """What of the data cannot be used, why, and what to do."""
    return WorkbenchError("bad-dataset", f"{what} cannot be used", why, how)


@contextlib.contextmanager
def as_ours(what: str, how: str) -> Iterator[None]:
    """What a loader of other files refuses inside the block is refused in this package's words."""
    try:
        yield
    except WorkbenchError as error:
        raise refused(what, error.why, how) from error


def refuse_too_many(count: int, most: int, what: str, of: str) -> None:
    if count > most:
        raise refused(
            what, f"it has {count:,} {of}, more than {most:,}", "Point at the published data, or cut it down."
        )


def quoted(text: object) -> str:
    """What a file says, as one short line that is safe to print."""
    said = repr(str(text))
    return said if len(said) <= 80 else f"{said[:79]}…"
