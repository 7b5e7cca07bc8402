"""One run worked on by several processes, as `torchrun` starts them. Without it, one process as ever."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from probes.errors import WorkbenchError
from probes.followers import Follower
from probes.runs import Run


def processes() -> int:
    """How many processes `torchrun` has started for this run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def together(make: Callable[[], Run]) -> Iterator[Run]:
    """The run that the first process makes or opens, as this process sees it: the writer, or a follower.

    Raises whatever `make` raises, and `WorkbenchError` in the others then.
    """
    if processes() == 1:
        yield make()
        return
    from probes.training.ranks import agreed_text, joined

    with joined():
        made = None
        try:
            made = make() if is_first() else None
        finally:
            path = agreed_text("" if made is None else str(made.path))
        if not path:
            raise WorkbenchError("no-run", "There is no run to help with", "the first process made none", "See there.")
        yield Follower(Path(path)) if made is None else made
