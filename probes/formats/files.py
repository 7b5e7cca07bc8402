"""What lies at a path, looked at safely: names, headers and small JSON first, tensors only within a budget.

Nothing here trusts a file: names stay inside the folder, sizes are added up before anything is read, and
every refusal is one sentence. Torch is imported inside functions, so that detecting a format costs nothing.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.errors import WorkbenchError
from probes.files import sha256_of
from probes.tensors import load_tensors, tensor_header

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_BUDGET = 16 * 2**30
JSON_LIMIT = 2**20
FLOATS = ("F64", "F32", "F16", "BF16")
FLOAT32_BYTES = 4
# All that a damaged archive makes zipfile raise: RuntimeError where it says that it is encrypted, for one.
NO_ARCHIVE = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Source:
    """A folder, or one file in a folder, that somebody says holds a dictionary.

    `budget` is the number of bytes its tensors may take as float32.
    """

    folder: Path
    file: Path | None = None
    budget: int = DEFAULT_BUDGET
    used: list[Path] = field(default_factory=list, compare=False, repr=False)

    @classmethod
    def at(cls, path: Path | str, *, budget: int = DEFAULT_BUDGET) -> Source:
        """Raises `WorkbenchError` when there is nothing at the path, or nothing one may read."""
        given = Path(path).expanduser()
        try:
            if given.is_dir():
                return cls(given.resolve(), None, budget)
            if given.is_file():
                return cls(given.absolute().parent, given.absolute(), budget)
        except (OSError, ValueError) as error:
            raise refused(given.name or str(given)[:80], str(error)[:200]) from error
        raise refused(str(given)[:120], "there is no such file or folder", "Check the path.")

    @property
    def name(self) -> str:
        return (self.file or self.folder).name

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The files directly in the folder, or the one file."""
        if self.file is not None:
            return (self.file.name,)
        return tuple(sorted(entry.name for entry in self.folder.iterdir() if entry.is_file()))

    def only(self, ending: str) -> str | None:
        """The one file whose name ends so; None when there is none or more than one."""
        found = [name for name in self.names if name.endswith(ending)]
        return found[0] if len(found) == 1 else None

    def has(self, *names: str) -> bool:
        """Whether all these files lie in the folder (beside the file, when one was named)."""
        return all((self.folder / name).is_file() for name in names)

    def path(self, name: str) -> Path:
        """A file of the folder. Raises `WorkbenchError` for what leads out of it, by its name or by a link.

        The hub's cache is one place: its snapshots are links to blobs beside them.
        """
        path = (self.folder / name).resolve()
        cache = next((at.parent for at in (self.folder, *self.folder.parents) if at.name == "snapshots"), self.folder)
        if not path.is_relative_to(self.folder.resolve()) and not path.is_relative_to(cache.resolve()):
            raise refused(self.name, f"{name[:80]!r} leads out of its folder", "Copy the files themselves.")
        if not path.is_file():
            raise refused(self.name, f"{name[:80]} is missing", "Fetch the folder again, with all its files.")
        return path

    def json(self, name: str) -> dict[str, Any]:
        """A small JSON object of the folder."""
        path = self.path(name)
        try:
            if path.stat().st_size > JSON_LIMIT:
                raise ValueError("it is larger than 1 MiB")
            found = json.loads(path.read_text("utf-8"))
            if not isinstance(found, dict):
                raise ValueError("it is not a JSON object")
        except (OSError, ValueError, RecursionError) as error:
            raise refused(self.name, f"{name} could not be read ({str(error)[:160]})") from error
        return found

    def header(self, name: str) -> dict[str, Any]:
        """Tensor name to dtype, shape and place, of a safetensors file in the folder."""
        return tensor_header(self.path(name))

    def keys(self, name: str) -> frozenset[str]:
        """The tensor names of a safetensors file; none where it is missing or no such file."""
        try:
            return frozenset(self.header(name))
        except WorkbenchError:
            return frozenset()

    def tensors(self, name: str, names: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Tensors of a safetensors file (those in `names` that it has), as float32 where they are floats.

        What they take is added up from the header before they are read.
        """
        header = self.header(name)
        wanted = [key for key in (header if names is None else names) if key in header]
        needed = sum(FLOAT32_BYTES * math.prod(shape_of(header[key], key, self.name)) for key in wanted)
        within(needed, self.budget, self.name)
        path = self.path(name)
        found = load_tensors(path, names=wanted)
        self.note(path)
        return {key: plain(part, key, self.name) for key, part in found.items()}

    def note(self, path: Path) -> None:
        """Remember a weight file that was read, for its hash."""
        if path not in self.used:
            self.used.append(path)

    def hashes(self) -> dict[str, str]:
        """File name to SHA-256 of every weight file that was read."""
        return {path.name: sha256_of(path) for path in self.used}


def shape_of(row: Any, key: str, what: str) -> tuple[int, ...]:
    """The shape a safetensors header gives a tensor, whatever it says. Raises `WorkbenchError` for nonsense."""
    shape = row.get("shape") if isinstance(row, dict) else None
    if not isinstance(shape, list) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise refused(what, f"tensor {key[:60]!r} has no usable shape")
    return tuple(shape)


def within(needed: int, budget: int, what: str) -> None:
    """Refuse what would take more memory than allowed. Both in bytes."""
    if needed > budget:
        raise WorkbenchError(
            "too-large",
            f"{what} is not opened",
            f"its tensors would take {needed / 2**30:,.1f} GiB, and {budget / 2**30:,.1f} GiB are allowed",
            "Allow more memory, or choose a narrower dictionary.",
        )


def plain(part: Tensor, key: str, what: str) -> Tensor:
    """Floats as float32, whole numbers as they are. Raises `WorkbenchError` for any other kind of number."""
    import torch

    if part.dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        return part.float()
    if part.dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool):
        return part
    raise refused(what, f"tensor {key[:60]!r} holds numbers of type {part.dtype}, which no dictionary has")


def refused(what: str, why: str, how: str = "Fetch it again, or choose another file.") -> WorkbenchError:
    """The one error of this package: what cannot be opened, why, and what to do."""
    return WorkbenchError("bad-format", f"{what} cannot be opened as a dictionary", why, how)
