"""A trainer's side of the race: it asks for batches, and is timed from one request to the next.

Every library keeps its own loop: what it takes for an endless stream of batches is a channel, which waits for
the referee's next command. Commands and answers are lines of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor


class Finished(Exception):
    """The referee needs no more steps."""


class Channel:
    """An iterator of batches that obeys `{"steps": n}`, `{"figures": true}` and `{"stop": true}`.

    `mark`: called before each step, untimed; `figures`: what else a trainer can be asked for; `peak`: the most
    memory it took, in MiB.
    """

    def __init__(self, batches: list[Tensor], answer: int) -> None:
        self.batches, self.given, self.left = batches, 0, 0
        self.mark: Callable[[], None] = lambda: None
        self.figures: Callable[[], dict[str, float]] = dict
        self.peak: Callable[[], float] = lambda: 0.0
        self._answers = os.fdopen(answer, "w", buffering=1)
        self._times: list[tuple[float, float]] = []
        self._since: tuple[float, float] | None = None

    def __iter__(self) -> Iterator[Tensor]:
        return self

    def __next__(self) -> Tensor:
        now = time.process_time(), time.perf_counter()
        if self._since is not None:
            self._times.append((now[0] - self._since[0], now[1] - self._since[1]))
            self._since = None
        while self.left == 0:
            self._obey()
        self.left -= 1
        batch = self.batches[self.given % len(self.batches)]
        self.given += 1
        self.mark()
        self._since = time.process_time(), time.perf_counter()
        return batch

    def _obey(self) -> None:
        if self._times:
            cpu, wall = zip(*self._times, strict=True)
            self._say({"cpu": cpu, "wall": wall})
            self._times = []
        command: dict[str, Any] = json.loads(sys.stdin.readline() or '{"stop": true}')
        if "stop" in command:
            raise Finished
        if "figures" in command:
            self._say({"peak": self.peak(), **self.figures()})
        self.left = int(command.get("steps", 0))

    def _say(self, what: dict[str, Any]) -> None:
        print(json.dumps(what), file=self._answers, flush=True)
