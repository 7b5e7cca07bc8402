"""`.npz` archives: the directory and every header are read first, then the arrays; never a pickle."""

from __future__ import annotations

import math
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from probes.formats.files import FLOAT32_BYTES, NO_ARCHIVE, Source, plain, refused, within
from probes.tensors import refuse_nonfinite

if TYPE_CHECKING:
    from torch import Tensor

RATIO = 200
ENTRIES = 64


def array_names(source: Source, name: str) -> frozenset[str]:
    """The array names of an archive; none where it is no archive."""
    try:
        with zipfile.ZipFile(source.path(name)) as archive:
            return frozenset(entry.removesuffix(".npy") for entry in archive.namelist())
    except NO_ARCHIVE:
        return frozenset()


def load_npz(source: Source, name: str) -> dict[str, Tensor]:
    """Arrays of an archive as float32 tensors.

    Raises `WorkbenchError` before anything is unpacked when the declared sizes exceed the budget or 200
    times the file, and for arrays of Python objects (they would need a pickle).
    """
    import torch

    path = source.path(name)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            unpacked = sum(entry.file_size for entry in entries)
            if len(entries) > ENTRIES or unpacked > RATIO * max(path.stat().st_size, 1):
                raise refused(name, f"{len(entries)} arrays would unpack to {unpacked / 2**20:,.0f} MiB")
            needed = sum(FLOAT32_BYTES * math.prod(_shape(archive, entry, name)) for entry in entries)
        within(max(needed, unpacked), source.budget, name)
        with np.load(path, allow_pickle=False) as held:
            found = {key: plain(torch.from_numpy(np.asarray(held[key])), key, name) for key in held.files}
    except (*NO_ARCHIVE, TypeError) as error:
        raise refused(name, f"it is no readable npz archive ({str(error)[:160]})") from error
    refuse_nonfinite(found, name)
    source.note(path)
    return found


def _shape(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> tuple[int, ...]:
    """The declared shape of one array; its declared bytes must be those in the archive."""
    with archive.open(entry) as held:
        version = np.lib.format.read_magic(held)
        read: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(held)
        if dtype.hasobject:
            raise refused(name, f"array {entry.filename[:60]!r} holds Python objects, which only a pickle can read")
        if math.prod(shape) * dtype.itemsize != entry.file_size - held.tell():
            raise refused(name, f"array {entry.filename[:60]!r} is not as long as it says")
    return tuple(shape)
