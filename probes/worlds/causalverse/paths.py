"""Paths that a data set names: relative, inside its folder, and never through a link that leads out of it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from probes.errors import WorkbenchError
from probes.worlds.causalverse.stored import quoted, refused

LONGEST = 1024
RELATIVE = "Write render_path relative to the folder, as the published export does."


def named_file(bases: tuple[Path, ...], root: Path, text: str, what: str) -> Path:
    """The file that `text` names below one of `bases`, all below `root`, which is resolved.

    Raises `WorkbenchError` where it names none, or anything but a plain path that stays below `root`.
    """
    why = _why_not(text)
    if why:
        raise refused(what, f"render_path {quoted(text)} {why}", RELATIVE)
    for base in bases:
        path = kept_inside(root, base / text, what)
        if path.is_file():
            return path
    raise refused(what, f"render_path {quoted(text)} names a file that is missing", "Fetch or export the split again.")


def kept_inside(root: Path, path: Path, what: str) -> Path:
    """`path`, resolved. Raises `WorkbenchError` where a link leads it out of `root`, which is resolved."""
    try:
        found = path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name too long
        raise _unresolved(path, what) from error
    if not found.is_relative_to(root):
        raise refused(
            what, f"{quoted(path.name)} is a link that leads out of the folder", "Copy the files themselves into it."
        )
    return found


def _unresolved(path: Path, what: str) -> WorkbenchError:
    return refused(what, f"{quoted(path.name)} leads nowhere", "Fetch or export the split again.")


def _why_not(text: str) -> str:
    """What is wrong with a path that should be relative and plain; empty where nothing is."""
    if not text.strip() or len(text) > LONGEST or not text.isprintable():
        return "is no usable path"
    if "://" in text:
        return "is a web address, and nothing is fetched"
    if "\\" in text:
        return "has a backslash"
    if text.startswith(("/", "~")) or PureWindowsPath(text).drive:
        return "is absolute"
    return "climbs out of its folder" if ".." in PurePosixPath(text).parts else ""
