"""The places of a level: the hook points its rows are made of, the one they predict, and which part of a run."""

from __future__ import annotations

from dataclasses import dataclass

from probes.activations.store import EVERYWHERE
from probes.addresses import HookPoint, Selector


@dataclass(frozen=True)
class Places:
    """Where rows come from.

    `beside`: further hook points, whose rows are put after those of `point`, side by side (crosscoders); `target`:
    the hook point whose rows are predicted, when these are not rebuilt themselves (transcoders). `where` holds for
    all of them.
    """

    point: HookPoint
    where: Selector = EVERYWHERE
    beside: tuple[HookPoint, ...] = ()
    target: HookPoint | None = None

    @property
    def read(self) -> tuple[HookPoint, ...]:
        """The hook points that one row is made of."""
        return (self.point, *self.beside)

    @property
    def every(self) -> tuple[HookPoint, ...]:
        """Those, and the one that is predicted."""
        return self.read if self.target is None else (*self.read, self.target)

    @property
    def single(self) -> bool:
        """Whether it is one hook point that is read, and written to."""
        return len(self.every) == 1

    def __str__(self) -> str:
        """The address of one hook point; of several, joined by `+`, and what is predicted after `->`."""
        points = "+".join(map(str, self.read)) + ("" if self.target is None else f"->{self.target}")
        return f"{points}@{self.where}".removesuffix("@")
