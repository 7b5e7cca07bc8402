"""From the place a file names to the subject's own module, found by looking at the subject, not its family.

A block's parts are told apart by what they are and do: a mixer's call takes a mask or a cache, an MLP has
weight matrices and does not, a norm has none. What feeds what is seen in one pass over two tokens.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from probes.addresses import HookPoint
from probes.errors import WorkbenchError
from probes.formats.hook_names import Place
from probes.subjects.passing import first_tensor, pick
from probes.subjects.subject import Subject
from probes.subjects.text_autoregressive import TextAutoregressive

MIXER_ARGUMENTS = ("attention_mask", "past_key_values", "past_key_value", "layer_past", "cache_params")


@dataclass(frozen=True)
class _Child:
    """A direct part of a block, and the tensors that went in and out of it."""

    name: str
    module: nn.Module
    seen: Tensor
    gave: Tensor

    @property
    def weighted(self) -> bool:
        return any(part.ndim >= 2 for part in self.module.parameters())

    @property
    def mixes(self) -> bool:
        return self.weighted and any(
            name in inspect.signature(self.module.forward).parameters for name in MIXER_ARGUMENTS
        )

    @property
    def norms(self) -> bool:
        return not self.weighted and any(True for _ in self.module.parameters())


def resolve_place(place: Place | None, subject: Subject, *, level: str) -> HookPoint:
    """The hook point of a place in this subject.

    Raises `WorkbenchError`, asking for --point, when the file names no place or the subject has none such.
    """
    if place is None:
        raise _unknown(level, "its file does not say where it reads")
    if place.path:
        return _by_path(place, subject, level)
    if not isinstance(subject, TextAutoregressive):
        raise _unknown(level, f"it reads the {place}, and {subject.name} is no language model with blocks")
    if place.site == "embedding":
        # What the first block is given: the embedding as the model itself scales it.
        return HookPoint(path=f"{subject.blocks_path}.0", tap="in")
    assert place.layer is not None
    block = subject.layer_point(place.layer)
    if place.site == "block_out":
        return block
    if place.site == "block_in":
        return HookPoint(path=block.path, tap="in")
    return _inside(place, subject, block, level)


def _by_path(place: Place, subject: Subject, level: str) -> HookPoint:
    """The module whose path is, or ends with, the one named. What stands before the list of blocks may be
    called otherwise in the subject, the list itself may not."""
    parts = place.path.split(".")
    first_number = next((at for at, part in enumerate(parts) if part.isdigit()), 1)
    for start in range(first_number):
        tail = ".".join(parts[start:])
        found = [path for path in subject.points.paths() if path == tail or path.endswith(f".{tail}")]
        if found:
            return HookPoint(path=min(found, key=len), tap=place.tap)
    raise _unknown(level, f"it names the module {place.path!r}, which {subject.name} does not have")


def _inside(place: Place, subject: TextAutoregressive, block: HookPoint, level: str) -> HookPoint:
    children = _children(subject, subject.points.module(block))
    mixer = next((child for child in children if child.mixes), None)
    mlp = next((child for child in children if child.weighted and not child.mixes), None)
    wanted = mixer if place.site in ("attention_out", "attention_heads") else mlp
    if wanted is None:
        raise _unknown(level, f"it reads the {place}, and that block has no such part")

    def point(child: _Child, tap: Any) -> HookPoint:
        return HookPoint(path=f"{block.path}.{child.name}", tap=tap)

    if place.site == "attention_heads":
        return _heads(point(wanted, "out"), wanted, subject, level)
    if place.site in ("attention_out", "mlp_out"):
        after = next((child for child in children if child.norms and torch.equal(child.seen, wanted.gave)), None)
        return point(after or wanted, "out")
    if place.site == "mlp_in":
        return point(wanted, "in")
    before = next((child for child in children if child.norms and torch.equal(child.gave, wanted.seen)), None)
    if place.site == "middle":
        return point(before or wanted, "in")
    if before is None:
        raise _unknown(level, f"it reads the {place}, and no norm stands before that block's MLP")
    return point(before, "out")


def norm_gain(place: Place | None, point: HookPoint, subject: Subject) -> tuple[Tensor, Tensor] | None:
    """(gain, bias), `d` each, that the norm at `point` applies behind what the place means; None for other places.

    TransformerLens shows a norm's rows before their gain, which no module gives out: they are (y − bias) / gain.
    Both are measured: the norm answers random rows, and a root-mean-square or a layer norm must explain that.
    """
    if place is None or place.site != "mlp_in_unscaled":
        return None
    norm = subject.points.module(point)
    weight = next(norm.parameters())
    generator = torch.Generator().manual_seed(0)
    rows = 30 * torch.randn(1, 256, len(weight), generator=generator).to(weight)
    with torch.no_grad():
        answer = pick(norm(rows), 0)[0].double()
    rows = rows[0].double()
    centred = rows - rows.mean(dim=1, keepdim=True)
    for plain in (rows, centred):
        unit = plain / plain.square().mean(dim=1, keepdim=True).sqrt()
        spread = unit - unit.mean(dim=0)
        gain = (spread * (answer - answer.mean(dim=0))).sum(dim=0) / spread.square().sum(dim=0)
        bias = answer.mean(dim=0) - gain * unit.mean(dim=0)
        if torch.allclose(unit * gain + bias, answer, rtol=0.02, atol=0.02 * float(answer.abs().mean())):
            return gain.float(), bias.float()
    raise _unknown(str(place), f"what the norm at {point} does to its rows is not understood")


def _heads(point: HookPoint, mixer: _Child, subject: TextAutoregressive, level: str) -> HookPoint:
    """The input of the mixer's last weight matrix: all heads side by side."""
    order = _order(subject, mixer.module, lambda module: getattr(getattr(module, "weight", None), "ndim", 0) == 2)
    if not order:
        raise _unknown(level, "the heads of that block cannot be told apart from its output")
    name = next(name for name, module in mixer.module.named_modules() if module is order[-1])
    return HookPoint(path=f"{point.path}.{name}", tap="in")


def _children(subject: TextAutoregressive, block: nn.Module) -> list[_Child]:
    """The block's parts in the order they run, seen once over two tokens."""
    names = {module: name for name, module in block.named_children()}
    found: list[_Child] = []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        gave = pick(output, 0)
        found.append(_Child(names[module], module, first_tensor(args, kwargs)[0].detach(), gave.detach()))

    _watched(subject, list(names), note)
    return found


def _order(subject: TextAutoregressive, root: nn.Module, wanted: Callable[[nn.Module], bool]) -> list[nn.Module]:
    """The modules below `root` that are wanted, in the order they run."""
    found: list[nn.Module] = []

    def note(module: nn.Module, *_: Any) -> None:
        found.append(module)

    _watched(subject, [module for module in root.modules() if wanted(module)], note)
    return found


def _watched(subject: TextAutoregressive, modules: list[nn.Module], note: Callable[..., None]) -> None:
    """One pass over two tokens with a look at some modules. Parts that pass no tensor on are left out."""

    def safely(*given: Any) -> None:
        try:
            note(*given)
        except (TypeError, WorkbenchError, AttributeError, IndexError, StopIteration):
            return

    with subject.lock:
        handles = [module.register_forward_hook(safely, with_kwargs=True) for module in modules]
        try:
            subject.run(torch.zeros(1, 2, dtype=torch.long))
        finally:
            for handle in handles:
                handle.remove()


def _unknown(level: str, why: str) -> WorkbenchError:
    return WorkbenchError(
        "no-place",
        f"Level {level} has no place in the subject",
        why,
        "Say it with --point, such as model.layers.5:out.",
    )
