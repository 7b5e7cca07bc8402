"""Capture rows: early stop in the subject's own number type against the full pass with logits, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from app.suites.rows import Row, interval_row
from probes.activations.shards import captured
from probes.metrics.intervals import bootstrap
from probes.subjects.loading import load_subject
from probes.subjects.text_autoregressive import TextAutoregressive

CHUNKS, CONTEXT, DEPTH = 8, 128, 0.5
# (row, slow pass, fast pass, the least, the aim)
RATIOS = (
    ("f32", "full f32", "capture f32", 2.2, 2.6),
    ("bf16", "full bf16", "capture bf16", 2.0, 2.2),
)


def capture_rows(rounds: int, subject: str = "bundled/smollm2-135m") -> Iterator[Row]:
    """CPU seconds of 8 x 128 tokens on one thread, and their ratios; the gain by bfloat16 stands apart."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        passes: dict[str, Callable[[], object]] = {}
        for kind, dtype in (("f32", "float32"), ("bf16", "bfloat16")):
            passes |= _passes(kind, load_subject(subject, of=TextAutoregressive, dtype=dtype))
        times = _in_turns(passes, rounds)
    finally:
        torch.set_num_threads(threads)
    unit = f"CPU seconds per {CHUNKS} x {CONTEXT} tokens, one thread"
    for name, seconds in times.items():
        found = bootstrap([seconds], lambda items: float(np.median(items)))
        yield interval_row(f"capture.{name}.cpu", [*found[:3], found.n], unit=unit, better="down")
    for name, slow, fast, least, aim in RATIOS:
        unit = f"times as fast as the full pass with logits in the same number type; at least {least:g}"
        yield _ratio(f"capture.{name}.early stop", times[slow], times[fast], unit).model_copy(update={"aim": aim})
    unit = "times as fast in bfloat16 as in float32, early stop in both"
    yield _ratio("capture.bf16.gain", times["capture f32"], times["capture bf16"], unit)


def _passes(kind: str, subject: TextAutoregressive) -> dict[str, Callable[[], object]]:
    tokens = torch.randint(100, 4000, (CHUNKS, CONTEXT), generator=torch.Generator().manual_seed(0))
    point = subject.layer_at(DEPTH)

    def full() -> object:
        with torch.no_grad():
            return subject.model(tokens).logits

    def capture() -> object:
        return captured(subject, [point], tokens, None, batch=CHUNKS, dtype=torch.float16)

    return {f"full {kind}": full, f"capture {kind}": capture}


def _in_turns(passes: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in passes}
    for number in range(rounds + 1):
        for name, work in passes.items():
            start = time.process_time()
            work()
            if number:  # the first turn is a warm-up
                times[name].append(time.process_time() - start)
    return times


def _ratio(name: str, slow: list[float], fast: list[float], unit: str) -> Row:
    found = bootstrap([np.column_stack([slow, fast])], lambda pairs: float(np.divide(*np.median(pairs, axis=0))))
    return interval_row(name, [*found[:3], found.n], unit=unit, better="up")
