"""Sharing a loop's rows or latents among as many threads as torch uses.

Each part is computed by one thread from the same inputs in the same order, so results do not depend on how many
there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch

SMALLEST = 64  # rows or latents below which another thread costs more than it saves


def shared(work: Callable[[int, int], object], count: int, cuts: Callable[[int], list[int]] | None = None) -> None:
    """`work(low, high)` over the whole of `range(count)`, in as many parts as there are threads.

    `cuts`: where to cut for so many parts (`parts + 1` places), where equal lengths are not equal work.
    """
    parts = min(torch.get_num_threads(), max(1, count // SMALLEST))
    if parts == 1:
        work(0, count)
        return
    places = [count * part // parts for part in range(parts + 1)] if cuts is None else cuts(parts)
    done = _pool(parts, os.getpid()).map(work, places[:-1], places[1:])
    for _ in done:  # raises what a part raised
        pass


@cache
def _pool(parts: int, process: int) -> ThreadPoolExecutor:
    """One pool per number of parts, and per process: threads do not survive a fork."""
    return ThreadPoolExecutor(parts, thread_name_prefix="kernels")
