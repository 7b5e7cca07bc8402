"""Writing files that survive a kill, names that stay inside their folder, and honest disk errors."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from probes.errors import WorkbenchError
from probes.processes import alive, start_of

SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
DEVICES = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
TEMPORARY = re.compile(r"\.tmp-(\d+)-(\d+)-[0-9a-f]{8}(?:-was-(.+))?")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def slug(title: str, fallback: str = "untitled") -> str:
    """A file name made from a free title: 1-64 of a-z 0-9 . _ -, never a Windows device name."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"\.{2,}", ".", re.sub(r"[^a-z0-9._-]+", "-", plain)).strip("._-")[:64].rstrip("._-") or fallback
    return f"{name.partition('.')[0]}-1" if name.partition(".")[0] in DEVICES else name


def is_slug(name: str) -> bool:
    """Whether a name is one that `slug` could have made."""
    return (
        SLUG.fullmatch(name) is not None
        and not name.endswith(".")
        and ".." not in name
        and name.partition(".")[0] not in DEVICES
    )


def confined(root: Path, name: str) -> Path:
    """`root / name`, resolved. Raises `WorkbenchError` unless name is a slug and the result is below root."""
    path = (root / name).resolve() if is_slug(name) else None
    if path is None or not path.is_relative_to(root.resolve()):
        raise WorkbenchError(
            "bad-name",
            f"{name[:80]!r} is not a usable name",
            "a name is 1 to 64 of the characters a-z 0-9 . _ - and stays inside its folder",
            "Choose a name such as my-run-2.",
        )
    return path


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def free_bytes(path: Path) -> int:
    """Bytes free for this user on the file system that holds (or will hold) `path`."""
    return shutil.disk_usage(next(at for at in (path, *path.absolute().parents) if at.exists())).free


def ensure_space(path: Path, needed: int) -> None:
    """Refuse, before anything is written, what the disk cannot hold. `needed` in bytes."""
    if free_bytes(path) < needed:
        _disk_full(path, needed)


@contextlib.contextmanager
def disk_errors(path: Path, needed: int = 0) -> Iterator[None]:
    """Turn a full disk, a size limit or a missing permission inside the block into a `WorkbenchError`."""
    try:
        yield
    except WorkbenchError:
        raise
    except Exception as error:
        code = _errno_of(error)
        if code in _FULL:
            _disk_full(path, needed)
        if code in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise WorkbenchError(
                "not-writable",
                f"{path} could not be written",
                "the folder is read-only or belongs to somebody else",
                "Change its permissions, or set FULCRUM_HOME to a folder you own.",
            ) from error
        raise


def _errno_of(error: Exception) -> int | None:
    """The operating system's error number; safetensors reports it only inside its message."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def _disk_full(path: Path, needed: int) -> NoReturn:
    wanted = f"{_size(needed)} needed" if needed else "more room needed"
    raise WorkbenchError(
        "disk-full",
        f"{path.name} could not be written",
        f"{wanted}, {_size(free_bytes(path))} free on the disk (a quota or size limit may be lower)",
        "Free some space or set FULCRUM_HOME to another disk; what was saved before is kept.",
    )


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} bytes" if unit == "bytes" else f"{count:.1f} {unit}"


def fsync_folder(path: Path) -> None:
    """Make a folder's entries durable (on systems where folders can be synced)."""
    with contextlib.suppress(PermissionError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _temporary(parent: Path, was: str = "") -> Path:
    """A sibling name that says whose it is, so that a sweep can tell orphans from work in progress.

    `was` marks a folder that is being replaced: should its owner die just then, a sweep puts it back.
    """
    mark = f"-was-{was}" if was else ""
    return parent / f".tmp-{os.getpid()}-{start_of(os.getpid()):.0f}-{secrets.token_hex(4)}{mark}"


def atomic_write(path: Path, data: bytes | str, *, durable: bool = True, make_folder: bool = True) -> None:
    """Replace a file in one step: a reader, or a kill, sees the old content or the new, never a part.

    `durable=False` skips the two fsyncs: right for a heartbeat, wrong for a result. Raises `FileNotFoundError`
    where there is no folder for it and none is to be made.
    """
    if make_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    content = data.encode() if isinstance(data, str) else data
    temporary = _temporary(path.parent)
    with disk_errors(path, len(content)):
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    if durable:
        fsync_folder(path.parent)


def to_json(value: Any, *, indent: int | None = 1) -> str:
    """JSON text. Refuses NaN and infinity, which are not JSON, with a `WorkbenchError`."""
    try:
        return json.dumps(value, allow_nan=False, indent=indent) + "\n"
    except (ValueError, TypeError, RecursionError) as error:
        raise WorkbenchError(
            "not-json",
            "A value could not be written as JSON",
            str(error),
            "Numbers must be finite and every value plain; write null for an unknown number.",
        ) from error


def write_json(path: Path, value: Any, *, durable: bool = True, make_folder: bool = True) -> None:
    """Write JSON atomically; see `to_json` and `atomic_write`."""
    atomic_write(path, to_json(value), durable=durable, make_folder=make_folder)


def read_json(path: Path, *, limit: int = 512 * 2**20, finite: bool = True) -> Any:
    """Read a JSON file of at most `limit` bytes. Whatever is wrong with it becomes one `WorkbenchError`.

    Unless `finite`, the NaN and infinities are read that JSON does not know and other people's Python writes.
    """
    try:
        if path.stat().st_size > limit:
            raise ValueError(f"it is larger than {_size(limit)}")
        if not finite:
            return json.loads(path.read_text("utf-8"))
        return json.loads(path.read_text("utf-8"), parse_constant=_no_constant, parse_float=_finite)
    except FileNotFoundError:
        why = "there is no such file"
    except OSError as error:
        why = error.strerror or str(error)
    except (ValueError, RecursionError) as error:
        why = f"it is not valid JSON ({error})"
    raise WorkbenchError("bad-json", f"{path} could not be read", why, "Check the path, or write the file anew.")


def _finite(text: str) -> float:
    """A number as Python has it; one too large for that is as little a number as the word Infinity."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large for a number")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


@contextlib.contextmanager
def commit_directory(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty temporary sibling folder that becomes `target` when the block ends well.

    Everything in it is fsynced before the rename, so a kill at any moment leaves either no `target` or a
    whole one; on an error the temporary folder is removed, and what dead processes left beside `target` is
    swept. Raises `WorkbenchError` when `target` exists, unless `replace`, which moves the old folder aside
    first and deletes it last.
    """
    sweep(target.parent)
    if not replace:
        _refuse_existing(target)
    temporary = _temporary(target.parent)
    with disk_errors(target):
        temporary.mkdir(parents=True)
        try:
            yield temporary
            _fsync_tree(temporary)
            aside = _move_aside(target, was=target.name)
            os.replace(temporary, target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    fsync_folder(target.parent)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def publish(folder: Path, target: Path) -> None:
    """Give a finished folder its name in one step. Raises `WorkbenchError` when the name is taken."""
    _refuse_existing(target)
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _fsync_tree(folder)
        try:
            os.replace(folder, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with commit_directory(target) as copy:  # the two lie on different disks
                shutil.copytree(folder, copy, dirs_exist_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
    fsync_folder(target.parent)


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise WorkbenchError(
            "exists", f"{target.name} exists already", "it would be overwritten", "Choose another name."
        )


def remove_directory(target: Path) -> None:
    """Delete a folder so that a kill half way leaves nothing that looks like the folder."""
    aside = _move_aside(target)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)


def _move_aside(target: Path, was: str = "") -> Path | None:
    if not target.exists():
        return None
    aside = _temporary(target.parent, was)
    os.replace(target, aside)
    return aside


def _fsync_tree(root: Path) -> None:
    for folder, _, names in os.walk(root):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                os.fsync(file.fileno())
        fsync_folder(Path(folder))


def sweep(root: Path) -> list[Path]:
    """Clear temporary files and folders in `root` whose process is dead; returns what was cleared."""
    swept = []
    for path in list(root.glob(".tmp-*")) if root.is_dir() else ():
        owner = TEMPORARY.fullmatch(path.name)
        if owner is None or alive(int(owner[1]), float(owner[2])):
            continue
        if owner[3] and not (root / owner[3]).exists():
            os.replace(path, root / owner[3])
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        swept.append(path)
    return swept
