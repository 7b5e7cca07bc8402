"""The only way in and out of a subject: hook points, selectors, edits and the hooked session.

An edit never replaces an activation: it returns what to *add*, computed in float32 on the unedited
activation, and all edits at one point are summed. So lever order never matters, a strength of zero
leaves the output bit-identical, and the reconstruction error of a dictionary is never touched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from probes.addresses import HookPoint, Selector
from probes.errors import WorkbenchError
from probes.subjects.passing import as_places, first_tensor, pick, put
from probes.subjects.subject import Call, EarlyStop, Subject, Where

__all__ = ["Edit", "HookPoint", "Reads", "Selector", "Tape", "Where", "hooked", "keep"]


Reader = Callable[[Tensor, Where], Any]
Change = Callable[[Tensor, Where], Tensor]


class Edit(NamedTuple):
    """Add `change(x, where)` (float32, the shape of the activation) to the activation at `point`, where selected.

    x is that activation; or what `reads` names, a place the same call passes before. Where what is added to
    is another tensor than x (the output, at an update; the edit's own point, when it reads elsewhere), it is
    `where.written`.
    """

    point: HookPoint
    where: Selector
    change: Change
    reads: HookPoint | None = None


@dataclass
class Tape:
    """What a session saw: per point the values its reader returned, and how often each point fired."""

    budget_bytes: int
    seen: dict[HookPoint, list[Any]] = field(default_factory=dict)
    fired: dict[HookPoint, int] = field(default_factory=dict)
    edited_places: dict[HookPoint, int] = field(default_factory=dict)
    calls: int = 0
    bytes: int = 0

    def __getitem__(self, point: HookPoint) -> list[Any]:
        return self.seen[point]

    def last(self, point: HookPoint) -> Any:
        return self.seen[point][-1]

    def _record(self, point: HookPoint, value: Any) -> None:
        self.bytes += sum(part.nbytes for part in _tensors_in(value))
        if self.bytes > self.budget_bytes:
            raise WorkbenchError(
                "recording-budget",
                f"Recording {point} was stopped",
                f"it would hold more than {self.budget_bytes / 2**20:.0f} MiB in memory",
                "Record fewer points or rows, return codes from the reader, or raise budget_bytes.",
            )
        self.seen[point].append(value)


def keep(x: Tensor, where: Where) -> Tensor:
    """The plain reader: a detached copy of the activation, in its own number type."""
    return x.detach().clone()


_active: ContextVar[tuple[_Session, ...]] = ContextVar("active_sessions", default=())


class _Session:
    """The hooks of one `hooked` block. Hooks are closures gated by a context variable, so a plain run
    of the same model in another thread never sees them."""

    def __init__(
        self,
        subject: Subject,
        read: Mapping[HookPoint, Reader],
        write: Sequence[Edit],
        stop: bool,
        budget_bytes: int,
    ) -> None:
        self.subject, self.read, self.stop = subject, read, stop
        self.edits: dict[HookPoint, list[Edit]] = {}
        for edit in write:
            self.edits.setdefault(edit.point, []).append(edit)
        self.sources = {edit.reads for edit in write if edit.reads is not None}
        self.points = list(dict.fromkeys([*read, *self.edits, *self.sources]))
        self.tape = Tape(budget_bytes, {point: [] for point in read}, dict.fromkeys(self.points, 0))
        self.tape.edited_places = dict.fromkeys(self.edits, 0)
        self.where: Where | None = None
        self.pending: set[HookPoint] = set()
        self.inputs: dict[HookPoint, Tensor] = {}
        self.held: dict[HookPoint, Tensor] = {}
        self.handles: list[Any] = []

    def attach(self) -> None:
        _preflight(self.subject.root)
        self.subject.preflight(self.points)
        self.handles.append(self.subject.root.register_forward_pre_hook(self._on_call, with_kwargs=True))
        # An update is measured from the input as edited, so pre-hooks of `in` points come first.
        for point in sorted(self.points, key=lambda point: point.tap != "in"):
            module = self.subject.points.module(point)
            if point.tap != "out":
                hook = self._gated(self._on_input, point)
                self.handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
        # `out` and `update` edit the same tensor: one hook per module, so neither sees the other's change.
        behind: dict[str, list[HookPoint]] = {}
        for point in self.points:
            if point.tap != "in":
                behind.setdefault(point.path, []).append(point)
        for points in behind.values():
            module = self.subject.points.module(points[0])
            self.handles.append(module.register_forward_hook(self._gated(self._on_output, points)))

    def detach(self) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles.clear()
        self.inputs.clear()
        self.held.clear()

    def _on_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self in _active.get():
            self.where = self.subject.where(Call(args, kwargs, self.tape.calls))
            self.tape.calls += 1
            self.pending = set(self.points)
            self.held.clear()

    def _gated(self, hook: Callable[..., Any], at: HookPoint | list[HookPoint]) -> Callable[..., Any]:
        def gated(module: nn.Module, *given: Any) -> Any:
            return hook(at, *given) if self in _active.get() else None

        return gated

    def _on_input(self, point: HookPoint, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x, hand_back = first_tensor(args, kwargs)
        if point.tap == "update":
            self.inputs[point] = x
            return None
        change = self._visit(point, x)
        return None if change is None else hand_back(_added(x, change))

    def _on_output(self, points: list[HookPoint], args: tuple[Any, ...], output: Any) -> Any:
        member = self.subject.points.member(points[0])
        x = pick(output, member)
        total: Tensor | None = None
        for point in points:
            change = self._visit(point, self._update(point, x), x) if point.tap == "update" else self._visit(point, x)
            if change is not None:
                total = change if total is None else total + change
        return None if total is None else put(output, _added(x, total), member)

    def _update(self, point: HookPoint, x: Tensor) -> Tensor:
        given = self.inputs.pop(point)
        if given.shape != x.shape:
            raise WorkbenchError(
                "no-update",
                f"{point} has no update",
                f"the module takes {tuple(given.shape)} and gives {tuple(x.shape)}",
                f"Use {point.path}:in or {point.path}:out.",
            )
        return x - given

    def _visit(self, point: HookPoint, x: Tensor, written: Tensor | None = None) -> Tensor | None:
        """Read x, and return the sum of all changes at this point (float32), or None when nothing edits.

        Readers and edits see `batch pos d`; x, what is returned, and what it is added to (`written`, when that
        is not x) have the module's own layout."""
        if self.where is None:
            raise WorkbenchError(
                "outside-root",
                f"{point} fired outside a call of the subject's root",
                "its place in the input is unknown",
                "Run the subject through its root module.",
            )
        self.tape.fired[point] += 1
        placed, back = as_places(x)
        where = self.where.placed(placed, x.shape)
        if point in self.read:
            self.tape._record(point, self.read[point](placed, where))
        if point in self.sources:
            self.held[point] = placed
        if written is not None and point in self.edits:
            where = replace(where, written=as_places(written)[0])
        change = self._change(point, placed, where)
        self.pending.discard(point)
        if self.stop and not self.pending:
            raise EarlyStop
        return None if change is None else back(change)

    def _change(self, point: HookPoint, x: Tensor, where: Where) -> Tensor | None:
        if point not in self.edits:
            return None
        total = torch.zeros(x.shape, dtype=torch.float32, device=x.device)
        for edit in self.edits[point]:
            chosen = where.selected(edit.where, x.shape, x.device)
            self.tape.edited_places[point] += int(chosen.sum())
            said, weights = self._said(edit, x, where), where.weights(edit.where, x.shape, x.device)
            if weights is not None:
                said = said * weights[:, None]
            # Chosen, not only weighed: what a change says elsewhere may be no number at all.
            total = total + torch.where(chosen[..., None], said, 0.0)
        return total

    def _said(self, edit: Edit, x: Tensor, where: Where) -> Tensor:
        """What one edit adds, from the activation itself or from what an earlier place of this call held."""
        if edit.reads is None:
            return edit.change(x.float(), where)
        if edit.reads not in self.held:
            raise WorkbenchError(
                "reads-later",
                f"An edit at {edit.point} reads at {edit.reads}",
                "a call passes that place later, or not at all",
                "Read before writing.",
            )
        return edit.change(
            self.held[edit.reads].float(), replace(where, written=x if where.written is None else where.written)
        )


def _added(x: Tensor, change: Tensor) -> Tensor:
    return (x.float() + change).to(x.dtype)


@contextlib.contextmanager
def hooked(
    subject: Subject,
    read: Mapping[HookPoint, Reader] | None = None,
    write: Sequence[Edit] = (),
    *,
    stop: bool = False,
    budget_bytes: int = 4 * 2**30,
) -> Iterator[Tape]:
    """Read and edit a subject's activations for the length of a `with` block.

    `stop` ends each call (by `EarlyStop`, which the subject's own run methods swallow) once every point
    has fired. Raises `WorkbenchError` for an unknown point, a root in training mode or compiled, a
    recording over `budget_bytes`, and a point that never fired. Sessions nest within a thread; across
    threads the subject's lock makes them take turns.
    """
    session = _Session(subject, dict(read or {}), tuple(write), stop, budget_bytes)
    with subject.lock:
        token = None
        try:
            session.attach()
            token = _active.set((*_active.get(), session))
            yield session.tape
        finally:
            session.detach()
            if token is not None:
                _active.reset(token)
        silent = [str(point) for point, count in session.tape.fired.items() if count == 0]
        if silent:
            raise WorkbenchError(
                "hook-never-fired",
                f"{', '.join(silent)} never fired",
                f"the subject was called {session.tape.calls} times and did not run that module",
                "Check the path, and that the block runs the subject inside the session.",
            )


class Reads:
    """What every subject can do because it can be hooked."""

    def preflight(self, points: Sequence[HookPoint]) -> None:
        """Nothing of this subject's own to check."""

    def activations(
        self: Subject, inputs: Any, read: Mapping[HookPoint, Reader], padding: Tensor | None = None
    ) -> dict[HookPoint, Any]:
        """What the readers return for one batch, stopping after the deepest point."""
        with torch.no_grad(), hooked(self, read, stop=True) as tape:
            self.run(inputs, padding)
        return {point: tape.last(point) for point in read}


def _preflight(root: nn.Module) -> None:
    if root.training:
        raise WorkbenchError(
            "training-mode",
            "The subject is in training mode",
            "dropout would make runs differ",
            "Call .eval().",
        )
    if type(root).__name__ == "OptimizedModule" or any(
        getattr(module, "_compiled_call_impl", None) is not None for module in (root,)
    ):
        raise WorkbenchError(
            "compiled-root",
            "The subject's root is compiled",
            "hooks added now would silently not fire",
            "Load it uncompiled, or compile its blocks one by one.",
        )


def _tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors_in(part)
    elif hasattr(value, "__dataclass_fields__"):
        yield from _tensors_in([getattr(value, name) for name in value.__dataclass_fields__])
