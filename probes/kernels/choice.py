"""Which kernels this machine gets: asked once, the same for the whole process, and never at a server's start.

`FULCRUM_KERNELS` (or `prefer`) says `torch` or `compiled`; `auto` compiles where numba can be imported and a
cache folder can be written, since compiling anew in every process would cost more than it saves. Results of the
two differ in the last places of float32 sums, never from one run to the next on the same choice.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args

from probes.artefacts import home
from probes.errors import WorkbenchError
from probes.files import read_json, write_json

if TYPE_CHECKING:
    from torch import Tensor, dtype

    from probes.kernels.strongest import Best, Firings

Choice = Literal["auto", "compiled", "torch"]
_chosen: dict[str, str] = {}


class Kernels(Protocol):
    """What both modules offer: `probes.kernels.plain` says what each operation does."""

    def select(
        self, centred: Tensor, w_enc: Tensor, b_enc: Tensor, k: int, *, narrow: bool = False
    ) -> tuple[Tensor, Tensor]: ...
    def above(self, centred: Tensor, w_enc: Tensor, b_enc: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]: ...
    def accumulate(self, index: Tensor, weight: Tensor, source: Tensor, n: int) -> tuple[Tensor, Tensor]: ...
    def remove_along(self, grad: Tensor, rows: Tensor) -> None: ...
    def normalise(self, rows: Tensor) -> None: ...
    def keep_strongest(self, found: Firings, best: Best) -> None: ...


def prefer(choice: Choice) -> None:
    """Choose for this process, over the environment."""
    _chosen["kernels"] = choice
    compiled_here.cache_clear()


def kernels_for(*tensors: Tensor) -> Kernels:
    """The kernels for operations on these: compiled ones take float32 on the CPU."""
    import torch

    from probes.kernels import plain

    fits = all(t.dtype == torch.float32 and t.device.type == "cpu" and t.is_contiguous() for t in tensors)
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        fits = False  # the loops keep no graph
    if fits and compiled_here():
        from probes.kernels import fast

        return cast(Kernels, fast)
    return cast(Kernels, plain)


@cache
def compiled_here() -> bool:
    """Are the loops compiled in this process? Imports them where they are."""
    choice = _chosen.get("kernels") or os.environ.get("FULCRUM_KERNELS") or "auto"
    if choice not in get_args(Choice):
        raise WorkbenchError(
            "bad-settings",
            f"FULCRUM_KERNELS is {choice!r}",
            f"it may be {', '.join(get_args(Choice))}",
            "Correct it, or leave it out.",
        )
    if choice == "torch":
        return False
    try:
        _import_compiled()
    except Exception as error:  # whatever numba or the file system makes of this machine
        if choice == "compiled":
            raise _not_compiled(error, "Set FULCRUM_KERNELS=torch, or i") from error
        return False
    return True


def chains() -> ModuleType:
    """The loops of Markov chains, which have no equal in torch: compiled whatever the choice."""
    try:
        with _own_cache():
            from probes.kernels.loops import chains
    except Exception as error:
        raise _not_compiled(error, "I") from error
    return chains


def _not_compiled(error: Exception, remedy: str) -> WorkbenchError:
    return WorkbenchError(
        "no-compiled-kernels",
        "The compiled kernels cannot be used",
        f"{type(error).__name__}: {error}",
        remedy + "nstall numba and let the data folder be written.",
    )


def cache_folder() -> Path:
    """Where compiled loops and what was found about this machine are kept."""
    return home() / "cache" / "kernels"


@cache
def loops_key() -> str:
    """Stands for the loops' sources and the version of numba. Imports neither."""
    try:
        version = metadata.version("numba")
    except metadata.PackageNotFoundError:
        version = "none"
    sources = b"".join(file.read_bytes() for file in sorted((Path(__file__).parent / "loops").glob("*.py")))
    return hashlib.sha256(sources + version.encode()).hexdigest()[:16]


def _import_compiled() -> None:
    with _own_cache():
        from probes.kernels import fast  # noqa: F401


@contextmanager
def _own_cache() -> Iterator[None]:
    """Import loops with numba's cache in our folder. Its files are read back as code, like any program's
    own: the folder is as private as the rest of the data folder.

    Loops of other sources have a folder of their own. numba numbers its files and lists one before it writes it, so
    that in a shared folder a second process could find older code under the new loop's number.
    """
    folder = cache_folder() / loops_key()
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written")
    import numba

    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = before or str(folder)
    try:
        yield
    finally:
        config.CACHE_DIR = before


@cache
def narrow_pays() -> bool:
    """Is a bfloat16 product at least 1.3 times as fast as a float32 one here? Measured once per machine and
    version of torch, and remembered, so that one machine always answers the same: of processes that measure at
    once, all take the answer of the first to finish."""
    import torch

    facts = f"{torch.__version__} {platform.machine()} {_processor()} {torch.backends.cpu.get_cpu_capability()}"
    file = cache_folder() / f"narrow-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.json"
    try:
        return bool(read_json(file)["pays"])
    except (WorkbenchError, KeyError, TypeError):
        pass
    wide, narrow = (_product_seconds(kind) for kind in (torch.float32, torch.bfloat16))
    found = {"machine": facts, "float32_seconds": wide, "bfloat16_seconds": narrow, "pays": wide > 1.3 * narrow}
    try:
        _write_once(file, found)
        return bool(read_json(file)["pays"])
    except (WorkbenchError, OSError, KeyError, TypeError):
        return False  # nothing is remembered, so the answer could change


def _write_once(file: Path, value: Any) -> None:
    """Write JSON where no file is yet; one that another process wrote meanwhile stays."""
    complete = file.with_name(f".{os.getpid()}-{file.name}")
    write_json(complete, value)
    try:
        with suppress(FileExistsError):
            os.link(complete, file)
    finally:
        complete.unlink()


def _product_seconds(kind: dtype) -> float:
    """CPU seconds of one product of 512 rows of 512 with 4096, the best of five."""
    import torch

    rows, weights = torch.ones(512, 512, dtype=kind), torch.ones(4096, 512, dtype=kind)
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        torch.mm(rows, weights.T)
        best = min(best, time.process_time() - start)
    return best


def _processor() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
