"""Several processes that train one run: who has which rows and which share of the parameters, and what they
tell each other. `torchrun` starts them; torch's process groups, meshes and distributed tensors do the work.

The processes form a mesh of two axes. Along `rows` each has its slice of the same global batch; along
`shards` each has its share of the parameters. One process is both axes with one place, and then everything
here is the identity: the same code trains alone, bit for bit.

Gradients are averaged along `rows`. What is gathered there carries, on its way back, each process's own slice
times the number of processes: so a gradient through gathered rows adds up, and one that reaches a parameter
directly, the same on every process, stays what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function

from probes.errors import WorkbenchError

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

TIMEOUT = timedelta(minutes=30)


class _Whole(Function):
    """All processes' rows, in order; see above for the way back."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return group.gathered(part, dim=0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.group.part(grad) * ctx.group.size, None


class _Summed(Function):
    """The sum over processes; its gradient is the same on each."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, group: Group) -> Tensor:
        return group.added(part)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class _Shared(Function):
    """The same value on each process; what each makes of it adds up in its gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.group.added(grad), None


@dataclass(frozen=True)
class Group:
    """The processes along one axis, and this one's place among them."""

    rank: int = 0
    size: int = 1
    mesh: DeviceMesh | None = None

    @property
    def _processes(self) -> Any:
        assert self.mesh is not None
        return self.mesh.get_group()

    def part(self, rows: Tensor) -> Tensor:
        """This process's slice of `batch ...`; the slices are equal and in order."""
        if self.size == 1:
            return rows
        each = len(rows) // self.size
        return rows[self.rank * each : (self.rank + 1) * each]

    def whole(self, part: Tensor) -> Tensor:
        """The rows of every process, `batch ...`, with a gradient for this one's own."""
        if self.size == 1:
            return part
        return _Whole.apply(part, self) if part.requires_grad else self.gathered(part, dim=0)  # type: ignore[no-untyped-call]

    def summed(self, part: Tensor) -> Tensor:
        """The sum over the processes of what each has, for a result that all of them go on with alike."""
        return part if self.size == 1 else _Summed.apply(part, self)  # type: ignore[no-untyped-call]

    def shared(self, value: Tensor) -> Tensor:
        """A value that all have, on its way into what each computes for itself."""
        return value if self.size == 1 else _Shared.apply(value, self)  # type: ignore[no-untyped-call]

    def gathered(self, part: Tensor, dim: int) -> Tensor:
        """What every process has, joined along a dimension, in order; no gradient. All have the same shape."""
        if self.size == 1:
            return part.detach()
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(self.size)]
        distributed.all_gather(parts, part.detach().contiguous(), group=self._processes)
        return torch.cat(parts, dim=dim)

    def added(self, part: Tensor) -> Tensor:
        """The sum over the processes; no gradient."""
        if self.size == 1:
            return part.detach()
        total = part.detach().clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total, group=self._processes)
        return total

    def total(self, number: float) -> float:
        """The sum of one number of each process."""
        return float(self.added(torch.tensor(number, dtype=torch.float64))) if self.size > 1 else number

    def largest(self, number: int) -> int:
        """The largest of one number of each process."""
        if self.size == 1:
            return number
        found = torch.tensor(number)
        distributed.all_reduce(found, op=distributed.ReduceOp.MAX, group=self._processes)
        return int(found)

    def among_largest(self, value: Tensor, k: int) -> Tensor:
        """`row width` with zero wherever an entry is not among the row's k largest of all processes together.

        Each brings its own k largest (fewer where it has fewer); only values travel, no indices. Of equal
        values, frequent in narrow number types, all processes let the same ones through: never more than k.
        """
        if self.size == 1:
            return value
        own = nn.functional.pad(value.detach(), (0, k - value.shape[1]), value=-torch.inf)
        every = self.gathered(own, dim=1)
        kept = torch.zeros_like(every, dtype=torch.bool).scatter(1, every.topk(k, dim=1).indices, True)
        return torch.where(kept[:, self.rank * k : self.rank * k + value.shape[1]], value, 0.0)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make the gradients of all processes their mean."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is not None:
                grad = local(parameter.grad)
                distributed.all_reduce(grad, group=self._processes)
                grad /= self.size


ONE = Group()


@dataclass(frozen=True)
class Ranks:
    """All processes of a training, as a mesh."""

    rows: Group = ONE
    shards: Group = ONE

    @property
    def size(self) -> int:
        return self.rows.size * self.shards.size

    def agreed(self, value: int) -> int:
        """What the first process says."""
        if self.size == 1:
            return value
        said = torch.tensor(value)
        distributed.broadcast(said, src=0)
        return int(said)


ALONE = Ranks()


def ranks_for(shards: int, batch: int) -> Ranks:
    """The processes of this run as a mesh: so many share the parameters, the others the batch.

    Raises `WorkbenchError` where they do not come out even.
    """
    size = world()
    if size == 1:
        return ALONE
    if size % shards or batch % (size // shards):
        raise WorkbenchError(
            "bad-division",
            f"{size} processes cannot train this",
            f"{shards} shards of parameters and a batch of {batch} rows do not come out even",
            "Choose a number of processes that shards divides, and a batch that the rest divides.",
        )
    from torch.distributed.device_mesh import init_device_mesh

    mesh = init_device_mesh("cpu", (size // shards, shards), mesh_dim_names=("rows", "shards"))
    axes = [Group(mesh[name].get_local_rank(), mesh[name].size(), mesh[name]) for name in ("rows", "shards")]
    return Ranks(*axes)


def world() -> int:
    """How many processes work on this run."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


@contextmanager
def joined() -> Iterator[int]:
    """Be one of the processes that `torchrun` started; yields this one's rank."""
    distributed.init_process_group("gloo", timeout=TIMEOUT)
    try:
        yield distributed.get_rank()
    finally:
        distributed.destroy_process_group()


def agreed_text(text: str) -> str:
    """The text that the first process has."""
    said = torch.frombuffer(bytearray(text.encode()) or bytearray(1), dtype=torch.uint8)
    size = torch.tensor(len(text.encode()))
    distributed.broadcast(size, src=0)
    said = said if distributed.get_rank() == 0 else torch.zeros(max(1, int(size)), dtype=torch.uint8)
    distributed.broadcast(said, src=0)
    return bytes(said[: int(size)].tolist()).decode()


def _divided(tensor: Tensor) -> bool:
    """Whether it is a distributed tensor, asked without importing what that would take."""
    return hasattr(tensor, "device_mesh")


def local(tensor: Tensor) -> Tensor:
    """This process's share of a distributed tensor (the same memory); any other tensor as it is."""
    return tensor.to_local() if _divided(tensor) else tensor  # type: ignore[attr-defined]


def full(tensor: Tensor) -> Tensor:
    """A distributed tensor put together again on every process; any other tensor as it is."""
    return tensor.full_tensor() if _divided(tensor) else tensor  # type: ignore[attr-defined]


def divided_like(whole: Tensor, tensor: Tensor) -> Tensor:
    """A whole tensor divided as another is."""
    if not _divided(tensor):
        return whole
    from torch.distributed.tensor import distribute_tensor

    place: Any = tensor
    return distribute_tensor(whole, place.device_mesh, place.placements, src_data_rank=None)
