"""What a subject is: the protocol every kind satisfies, and what one call of it says about its places.

Hooks know nothing else of a subject. A reader or an edit always sees `batch pos d`, whatever the module
itself passes on (see `probes/subjects/passing.py`), so one set of labels serves every point of a call.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
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
    token; `noise` (1 nothing decided, 0 finished) and `step` (whole steps of the schedule done) are None
    without a trajectory; `branches` names the guidance branch of each batch row and is empty for a subject
    without guidance, where every row is `cond`; `items` says which text or picture each batch row belongs to
    and is empty where that is the row itself. `canvas` are the frames, rows and columns of what the whole call
    is about, `grid` the rows and columns of this activation's places (each frame has that many), None where
    its places are no cells. `written` is what an edit adds to, where that is not what it reads.
    """

    call: int
    branches: tuple[str, ...] = ()
    noise: float | None = None
    step: int | None = None
    items: tuple[int, ...] = ()
    positions: Tensor | None = None
    generated: Tensor | None = None
    padding: Tensor | None = None
    special: Tensor | None = None
    canvas: tuple[int, int, int] | None = None
    grid: tuple[int, int] | None = None
    written: Tensor | None = None

    def placed(self, x: Tensor, shape: Sequence[int]) -> Where:
        """For one activation: its places `x` (`batch pos d`) counted from 0, where the subject has no numbers
        itself, and the grid they form, from the `shape` its module gave it or from the canvas."""
        grid = None
        if len(shape) > 3:
            grid = (int(shape[-2]), int(shape[-1]))
        elif len(shape) == 3:
            grid = _fitting(self.canvas, x.shape[1])
        if self.positions is not None:
            return self if grid == self.grid else replace(self, grid=grid)
        return replace(self, positions=torch.arange(x.shape[1], device=x.device).expand(x.shape[:2]), grid=grid)

    def selected(self, selector: Selector, shape: Sequence[int], device: torch.device) -> Tensor:
        """The places (`batch pos`, bool) of an activation of this `shape` that a selector names."""
        chosen = torch.ones(tuple(shape[:2]), dtype=torch.bool, device=device)
        if self.noise is not None and not selector.noise[0] <= self.noise <= selector.noise[1]:
            return torch.zeros_like(chosen)
        if selector.branch != "both":
            branches = self.branches or ("cond",) * shape[0]
            on_branch = [branch == selector.branch for branch in _per_row(branches, shape[0])]
            chosen &= torch.tensor(on_branch, device=device)[:, None]
        if selector.rows is not None:
            items = self.items or tuple(range(shape[0]))
            on_row = [item in selector.rows for item in _per_row(items, shape[0])]
            chosen &= torch.tensor(on_row, device=device)[:, None]
        if selector.positions != "all":
            chosen &= self._at_positions(selector.positions).to(device)
        if self.padding is not None:
            chosen &= ~self.padding.to(device)
        weights = self.weights(selector, shape, device)
        return chosen if weights is None else chosen & (weights > 0)

    def weights(self, selector: Selector, shape: Sequence[int], device: torch.device) -> Tensor | None:
        """How much of a change each place (`pos`, in [0, 1]) gets; None for all of it everywhere.

        Raises `WorkbenchError` for a mask where the places are no cells of a picture."""
        if selector.cells is None:
            return None
        if self.grid is None:
            raise WorkbenchError(
                "no-cells",
                "The selector names cells of a picture",
                f"the {shape[1]} places at this point are no grid of cells",
                "Leave the mask out here, or choose a point whose places are cells.",
            )
        flat = selector.cells.weights(self.grid).flatten().to(device)
        return flat.repeat(shape[1] // len(flat))

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


def _per_row(labels: Sequence[Any], rows: int) -> Sequence[Any]:
    """One label per row of an activation, which may hold several rows (frames) for each row of the call."""
    if rows % len(labels):
        raise WorkbenchError(
            "unknown-rows",
            f"An activation of {rows} rows cannot be divided",
            f"the call it belongs to has {len(labels)}",
            "Hook another module, or select branch=both and all rows.",
        )
    return labels if rows == len(labels) else [label for label in labels for _ in range(rows // len(labels))]


def _fitting(canvas: tuple[int, int, int] | None, places: int) -> tuple[int, int] | None:
    """The grid of that many places on the canvas: the same size, or halved some times in both directions."""
    if canvas is None:
        return None
    frames, rows, columns = canvas
    halvings = ((-(-rows // 2**n), -(-columns // 2**n)) for n in range(max(rows, columns).bit_length()))
    return next((grid for grid in halvings if grid[0] * grid[1] * frames == places), None)


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

    def preflight(self, points: Sequence[HookPoint]) -> None:
        """Raises `WorkbenchError` where hooks at these points would not see or change what they should."""
        ...

    def run(self, inputs: Any, /, padding: Tensor | None = None, *, gradients: bool = False) -> None:
        """One pass over a batch for what hooks see; swallows `EarlyStop`. `padding`: `batch pos` bool. With
        `gradients` what edits add can be differentiated: readers see activations that remember it."""
        ...

    def restarted(self, point: HookPoint, x: Tensor) -> AbstractContextManager[None]:
        """Within the block, runs take `x` (`batch pos d`) as what was computed at `point` and go on from
        it. Hooks at `point` still see and edit it. Only where `point` taps an output."""
        ...

    def generate(self, inputs: Any, /, *, seeds: Sequence[int]) -> Any:
        """The subject's output for a batch, a function of the inputs and of one seed per row."""
        ...


class PointTable:
    """The hook points of one subject: every module path with its taps, and which output member it is.

    `member` is the place of the activation in what a module returns as a tuple: one for all modules, or told
    from the module.
    """

    def __init__(
        self,
        root: nn.Module,
        suggested: Sequence[HookPoint] = (),
        member: int | Callable[[nn.Module], int] = 0,
    ) -> None:
        self._root = weakref.ref(root)
        self.suggested = tuple(suggested)
        self._member = member

    def member(self, point: HookPoint) -> int:
        """The place of the activation in what the point's module returns, where that is a tuple."""
        return self._member(self.module(point)) if callable(self._member) else self._member

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
