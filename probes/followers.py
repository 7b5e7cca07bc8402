"""A run as seen by the processes that help with it: they read everything and write nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from probes.checkpoints import Checkpoint
from probes.errors import WorkbenchError
from probes.runs import Run

if TYPE_CHECKING:
    from torch import Tensor


class Follower(Run):
    """The folder of a run whose one writer is another process, the first of those that train it.

    A job that calls for several processes does the same on each; what it says and saves here goes nowhere,
    and whether to stop is for the first process to tell.
    """

    follows: ClassVar[bool] = True

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """The first process holds it."""
        yield

    def update(self, **fields: Any) -> None:
        """Said by the first process."""

    def begin(self, *, step: int = 0, steps: int | None = None, message: str = "") -> None:
        """Said by the first process."""

    def progress(self, step: int, *, message: str | None = None, force: bool = False) -> None:
        """Said by the first process."""

    def log(self, step: int, **values: float) -> None:
        """Logged by the first process."""

    def stop_requested(self) -> bool:
        """Told by the first process, at the same step to all."""
        return False

    def fail(self, error: WorkbenchError) -> None:
        """Recorded by the first process, which sees it too, or loses its partner."""

    def save_checkpoint(
        self, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any], keep: int = 2
    ) -> None:
        """Written by the first process."""

    def rewind(self, checkpoint: Checkpoint | None) -> None:
        """Done by the first process."""
