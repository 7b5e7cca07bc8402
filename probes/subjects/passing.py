"""What modules pass on: finding the activation among inputs and outputs, and putting a changed one back.

Outside a module every activation is `batch pos d`: a plain `batch d` has one place per row, and the cells
of a `batch channel height width` (or `batch channel frame height width`) are its places, row by row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from probes.errors import WorkbenchError

Back = Callable[[Tensor], Tensor]


def as_places(x: Tensor) -> tuple[Tensor, Back]:
    """The activation as `batch pos d`, and the way back into the module's own layout."""
    if x.ndim == 3:
        return x, lambda new: new
    if x.ndim == 2:
        return x[:, None], lambda new: new[:, 0]
    if x.ndim in (4, 5):
        return x.flatten(2).transpose(1, 2), lambda new: new.transpose(1, 2).reshape(x.shape)
    raise WorkbenchError(
        "bad-layout",
        f"An activation of {x.ndim} axes cannot be read",
        "it is none of batch d, batch pos d and batch channel height width",
        "Hook another module.",
    )


def first_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """The activation among a module's inputs, and how to hand back changed inputs."""
    if args and isinstance(args[0], Tensor):
        return args[0], lambda new: ((new, *args[1:]), kwargs)
    named = [key for key, value in kwargs.items() if isinstance(value, Tensor)]
    name = "hidden_states" if "hidden_states" in named else next(iter(named), None)
    if name is None:
        raise WorkbenchError(
            "no-tensor-input",
            "A hooked module took no tensor",
            "there is nothing to read",
            "Hook another module.",
        )
    return kwargs[name], lambda new: (args, {**kwargs, name: new})


def pick(output: Any, member: int) -> Tensor:
    """The activation among a module's outputs: the tensor itself, or that member of a tuple or output."""
    if isinstance(output, Tensor):
        return output
    parts = output if isinstance(output, (tuple, list)) else list(output.values())
    chosen = parts[member]
    if not isinstance(chosen, Tensor):
        raise WorkbenchError(
            "no-tensor-output",
            "A hooked module returned no tensor",
            f"member {member} is not one",
            "Hook another.",
        )
    return chosen


def put(output: Any, new: Tensor, member: int) -> Any:
    """A copy of a module's output with the activation exchanged."""
    if isinstance(output, Tensor):
        return new
    if isinstance(output, (tuple, list)):
        return type(output)(new if at == member else part for at, part in enumerate(output))
    names = list(output.keys())
    return type(output)(**{name: new if at == member else output[name] for at, name in enumerate(names)})
