"""Going on from an activation that is given instead of computed, at any module's output."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from torch import Tensor

from probes.addresses import HookPoint
from probes.errors import WorkbenchError
from probes.subjects.passing import as_places, pick, put
from probes.subjects.subject import Subject

_restarting: ContextVar[Any] = ContextVar("restarting_anywhere", default=None)


class RestartsAnywhere:
    """What a subject can do whose modules need not form one chain of blocks."""

    @contextlib.contextmanager
    def restarted(self: Subject, point: HookPoint, x: Tensor) -> Iterator[None]:
        """Within the block, what `point` gives out is `x` (`batch pos d`). The modules before it run too,
        for whatever goes around the point, but nothing of them passes through it."""
        module, member = self.points.module(point), self.points.member(point)
        if point.tap != "out":
            raise WorkbenchError(
                "not-an-output",
                f"{point} is not the output of a module",
                "a run can be restarted only from what a module gave out",
                f"Use {point.path}:out.",
            )
        computed, before = module.forward, module.__dict__.get("forward")

        def instead(*args: Any, **kwargs: Any) -> Any:
            output = computed(*args, **kwargs)
            if _restarting.get() is not self:  # a plain run of another thread
                return output
            own = pick(output, member)
            placed, back = as_places(own)
            if placed.shape != x.shape:
                raise ValueError(f"{point} gives {tuple(placed.shape)}, the restart {tuple(x.shape)}")
            return put(output, back(x.to(own)), member)

        with self.lock:
            token = _restarting.set(self)
            try:
                module.forward = instead
                yield
            finally:
                _restarting.reset(token)
                if before is None:
                    module.__dict__.pop("forward", None)
                else:
                    module.forward = before
