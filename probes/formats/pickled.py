"""`.pt` and `.pth` files: the names inside are read without running anything; tensors come weights-only.

Loading weights-only still accepts tensors that claim far more numbers than their storage holds, so every
tensor is measured against its storage and the storage against the file afterwards.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.errors import first_line
from probes.formats.files import NO_ARCHIVE, Source, plain, refused, within
from probes.tensors import refuse_nonfinite

if TYPE_CHECKING:
    from torch import Tensor

NAMES_LIMIT = 4 * 2**20
OVERHEAD = 1.01
STORED_RATIO = 200
CONVERT = "Ask its author for safetensors, or convert it where you trust it."


def names_in(path: Path) -> frozenset[str]:
    """Every text in the pickle of a torch archive, keys among them, without executing it; none if it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            entry = next((info for info in archive.infolist() if info.filename.endswith("data.pkl")), None)
            if entry is None or entry.file_size > NAMES_LIMIT:
                return frozenset()
            opcodes = pickletools.genops(archive.read(entry))
            return frozenset(argument for _, argument, _ in opcodes if isinstance(argument, str))
    except NO_ARCHIVE:
        return frozenset()


def load_torch(source: Source, name: str) -> dict[str, Any]:
    """The dictionary a torch file holds: tensors (checked, float32 where floats), numbers, text, nested alike.

    Raises `WorkbenchError` for anything but such a dictionary: code in the file (named), an old format, a
    tensor larger than its storage, a sparse or quantised one, numbers that are not finite.
    """
    import torch

    path = source.path(name)
    size = path.stat().st_size
    within(size, source.budget, name)
    _measure_archive(path, source.budget)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=False)
    except Exception as error:  # an unpickling error, or whatever a damaged archive makes torch raise
        raise refused(name, _why(error), CONVERT) from error
    if not isinstance(found, dict):
        raise refused(name, f"it holds a {type(found).__name__}, not a dictionary of tensors")
    source.note(path)
    return _checked(found, name, size, source.budget, [0])


def load_tensor(source: Source, name: str) -> Tensor:
    """A torch file that holds one tensor and nothing else."""
    import torch

    path = source.path(name)
    within(path.stat().st_size, source.budget, name)
    _measure_archive(path, source.budget)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=False)
    except Exception as error:  # as above
        raise refused(name, _why(error), CONVERT) from error
    if not isinstance(found, torch.Tensor):
        raise refused(name, f"it holds a {type(found).__name__}, not one tensor")
    return _tensor(found, name, name, path.stat().st_size)


def _measure_archive(path: Path, budget: int) -> None:
    """Torch's own archives are stored, not compressed: one that unpacks to far more is a bomb."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
    except NO_ARCHIVE as error:
        raise refused(path.name, "it is no archive of torch 1.6 or newer, or it was cut off", CONVERT) from error
    within(unpacked, budget, path.name)
    if unpacked > STORED_RATIO * path.stat().st_size:
        raise refused(path.name, "it unpacks to more than 200 times its size")


def _checked(found: dict[Any, Any], name: str, size: int, budget: int, seen: list[int]) -> dict[str, Any]:
    """The dictionary again, every leaf checked; `seen` counts the bytes of the tensors as float32."""
    import torch

    kept: dict[str, Any] = {}
    for key, value in found.items():
        if isinstance(value, torch.Tensor):
            kept[str(key)] = _tensor(value, str(key), name, size)
            seen[0] += 4 * value.numel()
            within(seen[0], budget, name)
        elif isinstance(value, dict):
            kept[str(key)] = _checked(value, name, size, budget, seen)
        elif value is None or isinstance(value, (bool, int, float, str, list, tuple)):
            kept[str(key)] = value
        else:
            raise refused(name, f"{str(key)[:60]!r} is a {type(value).__name__}, which no dictionary has")
    return kept


def _tensor(part: Tensor, key: str, name: str, size: int) -> Tensor:
    import torch

    if part.layout is not torch.strided or part.is_quantized or part.device.type != "cpu":
        raise refused(name, f"tensor {key[:60]!r} is not a plain dense tensor")
    held = part.untyped_storage().nbytes()
    if part.numel() * part.element_size() > held or held > size * OVERHEAD:
        raise refused(name, f"tensor {key[:60]!r} claims {part.numel():,} numbers, more than the file holds")
    checked = plain(part.detach(), key, name)
    refuse_nonfinite({key: checked}, name)
    return checked


def _why(error: Exception) -> str:
    """What torch's weights-only loader found, in one sentence."""
    named = re.search(r"(?:GLOBAL|global) ([\w.]+)", str(error))
    if named:
        return f"it wants to run code ({named[1]})"
    return f"torch could not read it ({first_line(error)[:160]})"
