"""The subjects held in memory by the server: loaded on first use, used by one person at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Loader = Callable[[str], Any]


class ModelPool:
    """Opens subjects lazily and hands them out under one lock.

    One lock for all: two people steering at once take turns, so that their levers never meet in one
    forward pass and two models never compete for the same cores. The least recently used model goes first.
    """

    def __init__(self, load: Loader, *, keep: int = 1) -> None:
        """`load` opens a subject (or whatever is pooled) by reference; `keep` of them stay in memory."""
        self._load, self._keep = load, keep
        self._lock = threading.RLock()
        self._held: OrderedDict[str, Any] = OrderedDict()

    @property
    def held(self) -> tuple[str, ...]:
        """References of what is in memory, least recently used first."""
        return tuple(self._held)

    @contextmanager
    def use(self, ref: str) -> Iterator[Any]:
        """The subject of that reference, for the length of a `with` block, to this thread alone."""
        with self._lock:
            if ref not in self._held:
                while len(self._held) >= self._keep:
                    self._held.popitem(last=False)
                self._held[ref] = self._load(ref)
            self._held.move_to_end(ref)
            yield self._held[ref]


def subject_pool(*, dtype: str, device: str, offline: bool) -> ModelPool:
    """A pool of subjects. Nothing is imported or loaded until the first use."""

    def load(ref: str) -> Any:
        from probes.subjects.loading import load_subject

        return load_subject(ref, dtype=dtype, device=device, offline=offline)

    return ModelPool(load)
