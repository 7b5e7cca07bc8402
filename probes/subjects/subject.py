"""What a subject is: the protocol every kind satisfies, and what one call of it says about its places.

Hooks know nothing else of a subject. A reader or an edit always sees `batch pos d`, whatever the module
itself passes on (see `probes/subjects/passing.py`), so one set of labels serves every point of a call.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from probes.addresses import HookPoint, Selector
from probes.errors import WorkbenchError


@dataclass(frozen=True)
class Call:
    """One call of a subject's root module: its arguments, and its place in the session."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    index: int


@dataclass(frozen=True)
class Where:
    """Where and when an activation was computed.

    `positions`, `generated`, `padding` and `special` are `batch pos`. Positions a subject does not number
    are counted from 0 at each point; `generated` is None for a subject that does not generate token by
    token; `noise` is None without a trajectory; `branches` names the guidance branch of each batch row and
    is empty for a subject without guidance, where every row is `cond`. `written` is what an edit adds to,
    where that is not what it reads.
    """

    call: int
    branches: tuple[str, ...] = ()
    noise: float | None = None
    positions: Tensor | None = None
    generated: Tensor | None = None
    padding: Tensor | None = None
    special: Tensor | None = None
    written: Tensor | None = None

    def numbered(self, x: Tensor) -> Where:
        """With the places of `x` (`batch pos d`) counted from 0, where the subject has no numbers itself."""
        if self.positions is not None:
            return self
        return replace(self, positions=torch.arange(x.shape[1], device=x.device).expand(x.shape[:2]))

    def selected(self, selector: Selector, shape: Sequence[int], device: torch.device) -> Tensor:
        """The places (`batch pos`, bool) of an activation of this `shape` that a selector names."""
        chosen = torch.ones(tuple(shape[:2]), dtype=torch.bool, device=device)
        if self.noise is not None and not selector.noise[0] <= self.noise <= selector.noise[1]:
            return torch.zeros_like(chosen)
        if selector.branch != "both":
            branches = self.branches or ("cond",) * shape[0]
            on_branch = torch.tensor([branch == selector.branch for branch in branches], device=device)
            chosen &= on_branch[:, None]
        if selector.rows is not None:
            on_row = torch.zeros(shape[0], dtype=torch.bool, device=device)
            on_row[[row for row in selector.rows if row < shape[0]]] = True
            chosen &= on_row[:, None]
        if selector.positions != "all":
            chosen &= self._at_positions(selector.positions).to(device)
        if self.padding is not None:
            chosen &= ~self.padding.to(device)
        return chosen

    def _at_positions(self, positions: Literal["prompt", "generated"] | tuple[int, int]) -> Tensor:
        if not isinstance(positions, str) and self.positions is not None:
            start, stop = positions
            return (self.positions >= start) & (self.positions < stop)
        if self.generated is None:
            raise WorkbenchError(
                "no-positions",
                "The selector names token positions",
                "this subject has none",
                "Leave positions at 'all' for this subject.",
            )
        return self.generated if positions == "generated" else ~self.generated


class Subject(Protocol):
    """A frozen model under study. Everything above it (hooks, capture, evidence, levers) asks for no more.

    `inputs` are a batch in the subject's own terms: token ids `batch pos`, or whatever its callable takes.
    """

    name: str
    root: nn.Module
    points: PointTable
    lock: threading.RLock

    def where(self, call: Call) -> Where:
        """What a call of the root says about its places."""
        ...

    def run(self, inputs: Any, /, padding: Tensor | None = None) -> None:
        """One pass over a batch for what hooks see; swallows `EarlyStop`. `padding`: `batch pos` bool."""
        ...

    def restarted(self, point: HookPoint, x: Tensor) -> AbstractContextManager[None]:
        """Within the block, runs take `x` (`batch pos d`) as what was computed at `point` and go on from
        it. Hooks at `point` still see and edit it. Only where `point` taps an output."""
        ...

    def generate(self, inputs: Any, /, *, seeds: Sequence[int]) -> Any:
        """The subject's output for a batch, a function of the inputs and of one seed per row."""
        ...


class PointTable:
    """The hook points of one subject: every module path with its taps, and which output member it is."""

    def __init__(self, root: nn.Module, suggested: Sequence[HookPoint] = (), member: int = 0) -> None:
        self._root = weakref.ref(root)
        self.suggested = tuple(suggested)
        self.member = member

    def paths(self) -> list[str]:
        root = self._root()
        return [] if root is None else [path for path, _ in root.named_modules() if path]

    def module(self, point: HookPoint) -> nn.Module:
        """The module a point addresses. Raises `WorkbenchError` naming near paths when there is none."""
        root = self._root()
        try:
            if root is None or not point.path:
                raise AttributeError
            return root.get_submodule(point.path)
        except AttributeError:
            near = get_close_matches(point.path, self.paths(), n=3, cutoff=0.5)
            shown = near or [str(known) for known in self.suggested[:3]]
            raise WorkbenchError(
                "unknown-hook-point",
                f"There is no hook point {point}",
                f"the subject has no module called {point.path!r}",
                f"Near names: {', '.join(shown)}." if shown else "List the subject's hook points first.",
            ) from None


class EarlyStop(BaseException):
    """Raised inside a subject's forward pass once every point of interest has fired in this call."""
