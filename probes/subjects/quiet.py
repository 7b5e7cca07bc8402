"""Loading without the progress bars of the libraries that load: a command's own progress is the one to see."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def without_bars(*libraries: str) -> Iterator[None]:
    """Bars of `transformers` and `diffusers` stay away inside, and are as they were before afterwards."""
    with ExitStack() as stack:
        for library in libraries:
            bars = importlib.import_module(f"{library}.utils.logging")
            if bars.is_progress_bar_enabled():
                bars.disable_progress_bar()
                stack.callback(bars.enable_progress_bar)
        yield
