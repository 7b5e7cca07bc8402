"""What a format is: two functions behind one registry row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from probes.formats.files import Source

if TYPE_CHECKING:
    from probes.formats.imported import Imported


class Format(NamedTuple):
    """`recognises` tells from file names and tensor keys, without torch; `read` gives the one structure.

    `read` raises `WorkbenchError` for whatever is wrong with the files, or cannot be represented.
    """

    recognises: Callable[[Source], bool]
    read: Callable[[Source], Imported]
