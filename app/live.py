"""Work done inside the server for one open page: in a thread of its own, with progress, stopped within a step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from probes.errors import Stopped

TICK = 0.25


class Told(NamedTuple):
    """How far the work is: steps done, steps in all, and what is being done."""

    done: int = 0
    total: int = 0
    what: str = "waiting for the subject"


Work = Callable[[Callable[[int, int, str], None], Callable[[], bool]], Any]


class LiveWork:
    """One piece of work. It ends at the next step once it was asked to, or when nobody follows it any more."""

    def __init__(self, work: Work) -> None:
        """`work(progress, stop)` returns the result; it raises `Stopped` when `stop()` says so."""
        self._work, self._stop = work, threading.Event()
        self._told = Told()
        self._thread = threading.Thread(target=self._run, daemon=True, name="live-work")
        self._result: Any = None
        self._error: BaseException | None = None

    def _run(self) -> None:
        try:
            self._result = self._work(self._tell, self._stop.is_set)
        except Stopped as stopped:
            self._error = stopped
        except Exception as error:  # handed to whoever follows
            self._error = error

    def _tell(self, done: int, total: int, what: str) -> None:
        self._told = Told(done, total, what)

    def stop(self) -> None:
        """Ask the work to end."""
        self._stop.set()

    def follow(self) -> Iterator[Told]:
        """Start, and say how far it is until it ends; then `result` says what came of it."""
        self._thread.start()
        try:
            last = None
            while self._thread.is_alive():
                told = self._told._replace(what="stopping at the next step") if self._stop.is_set() else self._told
                if told != last:
                    last = told
                    yield told
                self._thread.join(TICK)
        finally:
            self.stop()

    def result(self) -> Any:
        """What came of it. Raises what the work raised, `Stopped` when it was asked to end."""
        if self._error is not None:
            raise self._error
        return self._result


class LiveWorks:
    """The running work of each open page, so that its stop button finds it."""

    def __init__(self) -> None:
        self._held: dict[str, LiveWork] = {}
        self._lock = threading.Lock()

    def begin(self, page: str, work: Work) -> LiveWork:
        """New work for a page; what it had running is asked to end."""
        made = LiveWork(work)
        with self._lock:
            before, self._held[page] = self._held.get(page), made
        if before is not None:
            before.stop()
        return made

    def end(self, page: str, work: LiveWork) -> None:
        """Forget work that is over."""
        with self._lock:
            if self._held.get(page) is work:
                del self._held[page]

    def stop(self, page: str) -> bool:
        """Ask the page's work to end; whether there was any."""
        with self._lock:
            found = self._held.get(page)
        if found is not None:
            found.stop()
        return found is not None
