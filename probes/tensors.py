"""Tensors on disk: safetensors only, checked before they are trusted. Torch is imported inside functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.errors import WorkbenchError
from probes.files import disk_errors, ensure_space

if TYPE_CHECKING:
    from torch import Tensor

HEADER_CAP = 10 * 2**20
_CHUNK = 2**24


def tensor_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file: name -> {dtype, shape, data_offsets}. Needs no torch.

    Raises `WorkbenchError` for a missing, cut, oversized or foreign file, duplicate names, and names
    that look like paths.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(512)
            length = int.from_bytes(start[:8], "little")
            file.seek(8)
            if size < 8 or length > min(HEADER_CAP, size - 8):
                raise _refused(path, _why_not(start, size, length))
            text = file.read(length)
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"its header is not valid ({error})") from error
    if not isinstance(header, dict) or not all(isinstance(row, dict) for row in header.values()):
        raise _refused(path, "its header is not a table of tensors")
    header.pop("__metadata__", None)
    for name in header:
        if not name.isprintable() or ".." in name or name.startswith("/") or "\\" in name:
            raise _refused(path, f"the tensor name {name[:60]!r} looks like a path")
    return header


def load_tensors(path: Path, *, names: Iterable[str] | None = None, allow_nonfinite: bool = False) -> dict[str, Tensor]:
    """All tensors of a safetensors file (or those in `names`), on the CPU, checked to be finite.

    Raises `WorkbenchError` naming the file and, for NaN or infinity, the tensor and how many there are.
    """
    header = tensor_header(path)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in (header if names is None else names)}
    except SafetensorError as error:
        raise _refused(path, f"{error} (the file is damaged or incomplete)") from error
    if not allow_nonfinite:
        refuse_nonfinite(tensors, path.name)
    return tensors


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> int:
    """Write tensors of any layout (tied, transposed, on any device) to a new safetensors file.

    Returns the number of bytes. Non-finite values are refused, and so is what the disk cannot hold.
    The write is not atomic by itself: call it inside `commit_directory`.
    """
    from safetensors.torch import save_file

    refuse_nonfinite(tensors, path.name)
    needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    ensure_space(path.parent, needed + 2**16)
    plain: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        ready = tensor.detach().to("cpu").contiguous()
        # safetensors refuses tensors that share memory: the second of a tied pair is written as a copy.
        ready = ready.clone() if ready.untyped_storage().data_ptr() in storages else ready
        storages.add(ready.untyped_storage().data_ptr())
        plain[name] = ready
    with disk_errors(path, needed):
        save_file(plain, path)
    return path.stat().st_size


def refuse_nonfinite(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise `WorkbenchError` naming the first tensor that holds NaN or infinity."""
    for name, tensor in tensors.items():
        if not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        flat = tensor.detach().reshape(-1)
        parts = (flat[start : start + _CHUNK] for start in range(0, len(flat), _CHUNK))
        bad = sum(int((~part.isfinite()).sum()) for part in parts)
        if bad:
            raise WorkbenchError(
                "non-finite",
                f"{where} is refused",
                f"tensor {name!r} holds {bad} values that are NaN or infinite",
                "Go back to the last good checkpoint, and lower the learning rate if training diverged.",
            )


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name appears twice")
    return table


def _why_not(start: bytes, size: int, length: int) -> str:
    if start.startswith(b"version https://git-lfs"):
        return "it is a git-LFS pointer, not the file itself; fetch the file with git lfs pull"
    if start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return "it is a web page, not a tensor file; the download failed"
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04")):
        return "it is a pickle archive; convert it to safetensors first"
    if size < 8:
        return f"it holds only {size} bytes; the copy was cut off"
    if length > HEADER_CAP:
        return "its first bytes are no safetensors header, or the header is larger than 10 MiB"
    return "it is shorter than its header says; the copy was cut off"


def _refused(path: Path, why: str) -> WorkbenchError:
    return WorkbenchError(
        "bad-tensors",
        f"{path.name} could not be loaded",
        why,
        "Copy or download it again, or choose another file.",
    )
