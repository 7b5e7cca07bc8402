"""Subject: any torch module plus a callable that feeds it. Worlds with known truth and toy models of a
user's own go through the same hooks, capture, evidence and levers as a language model."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from probes.addresses import HookPoint
from probes.hooks import Reads
from probes.subjects.restarting import RestartsAnywhere
from probes.subjects.subject import Call, EarlyStop, PointTable, Where

Feed = Callable[[nn.Module, Any], Any]
Label = Callable[[Call], Where]


def call_it(module: nn.Module, inputs: Any) -> Any:
    """The plain feed: the module takes the batch as its only argument."""
    return module(inputs)


class ModuleSubject(Reads, RestartsAnywhere):
    """A frozen module: a row of a batch is one item, its places are what the activation has along its
    second axis (one, where it is `batch d`).

    `feed(module, inputs)` runs the module once on a batch and returns its output; `label(call)` says more
    of a call's places than that, where there is more to say. `points` are the hook points that mean
    something, in the order of the computation; without them, the module's children. `member` is the place
    of the activation in what modules return as a tuple.
    """

    kind = "module"

    def __init__(
        self,
        module: nn.Module,
        *,
        name: str,
        feed: Feed = call_it,
        label: Label | None = None,
        points: Sequence[HookPoint] = (),
        member: int = 0,
    ) -> None:
        self.root = module.eval().requires_grad_(False)
        self.name = name if name.startswith("module/") else f"module/{name}"
        children = [HookPoint(path=path) for path, _ in module.named_children()]
        self.points = PointTable(module, points or children, member)
        self.lock = threading.RLock()
        self._feed, self._label = feed, label
        self._padding: Tensor | None = None

    def where(self, call: Call) -> Where:
        """What `label` says, else nothing but the padding that `run` was given."""
        said = Where(call.index) if self._label is None else self._label(call)
        return said if self._padding is None else replace(said, padding=self._padding)

    def run(self, inputs: Any, padding: Tensor | None = None, *, gradients: bool = False) -> None:
        """One pass over a batch for what hooks see. `padding`: `batch pos`, places no hook touches."""
        with torch.set_grad_enabled(gradients), self.lock, contextlib.suppress(EarlyStop):
            before, self._padding = self._padding, padding
            try:
                self._feed(self.root, inputs)
            finally:
                self._padding = before

    @torch.no_grad()
    def generate(self, inputs: Any, *, seeds: Sequence[int] = (0,)) -> Any:
        """What the module returns for a batch. Its draws, if it makes any, follow from the first seed."""
        with self.lock, torch.random.fork_rng():
            torch.manual_seed(seeds[0])
            return self._feed(self.root, inputs)
