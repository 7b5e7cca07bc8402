"""What runs leave for others: a folder with a manifest, and the one resolver from names to folders."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, field_validator

from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.files import (
    commit_directory,
    confined,
    ensure_space,
    is_slug,
    read_json,
    sha256_of,
    slug,
    to_json,
    write_json,
)
from probes.provenance import ROOT, commit, now, versions

Kind = Literal[
    "store",
    "probe",
    "representation",
    "subject",
    "graph",
    "atlas",
    "support",
    "levers",
    "report",
    "evaluation",
    "sweep",
    "judge",
]
FOLDERS: dict[str, str] = {
    "store": "stores",
    "probe": "probes",
    "representation": "representations",
    "subject": "pipelines",
    "graph": "graphs",
    "atlas": "atlases",
    "support": "supports",
    "levers": "levers",
    "report": "reports",
    "evaluation": "evaluations",
    "sweep": "sweeps",
    "judge": "judges",
}
BUNDLED = ROOT / "assets"
MANIFEST = "manifest.json"
_LOCAL = {"file", "local", "memory"}


def home() -> Path:
    """The data folder: `FULCRUM_HOME`, else the platform's user data folder."""
    chosen = os.environ.get("FULCRUM_HOME")
    if chosen:
        return Path(chosen).expanduser().resolve()
    from platformdirs import user_data_path

    return user_data_path("fulcrum", appauthor=False)


class FileEntry(Frozen):
    """One file of an artefact."""

    sha256: str = Field(description="SHA-256 of the file, hexadecimal.", pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(description="Size of the file in bytes.", ge=0)


class Parent(Frozen):
    """What an artefact was made from."""

    ref: str = Field(description="The name it was given.")
    sha256: str | None = Field(default=None, description="SHA-256 of its manifest, when it had one.")


class Manifest(Frozen):
    """The table of contents of an artefact; written last, so a folder without one is not an artefact."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    kind: str = Field(
        description="What the artefact is: store, probe, representation, subject, graph, judge and so on."
    )
    name: str = Field(description="The free title it was given.")
    created: str = Field(default_factory=now, description="When it was finished, UTC.")
    command: str = Field(default="", description="The command line that makes it again.")
    run: str = Field(default="", description="The run that made it, where one did.")
    commit: str | None = Field(default=None, description="Commit of the code; + marks uncommitted changes.")
    versions: dict[str, str] = Field(default_factory=dict, description="Versions of the packages used.")
    parents: dict[str, Parent] = Field(default_factory=dict, description="Role to the artefact it was made from.")
    files: dict[str, FileEntry] = Field(default_factory=dict, description="Relative path to hash and size.")
    figures: dict[str, Any] = Field(default_factory=dict, description="Headline numbers.")
    licence: str = Field(default="", description="Licence of the content.")
    notes: str = Field(default="", description="Anything a reader must know.")

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, FileEntry]) -> dict[str, FileEntry]:
        for name in files:
            if not re.fullmatch(r"\w[\w.+-]*(/\w[\w.+-]*)*", name, re.ASCII) or name == MANIFEST:
                raise ValueError(f"{name[:80]!r} is not the path of a file inside an artefact")
        return files


def write_manifest(
    directory: Path,
    *,
    kind: Kind,
    name: str,
    command: str = "",
    run: str = "",
    parents: Mapping[str, Parent] | None = None,
    figures: Mapping[str, Any] | None = None,
    licence: str = "",
    notes: str = "",
) -> Manifest:
    """Hash every file below `directory` and write its manifest, last.

    Raises `WorkbenchError` for a figure that is not finite (write None for an unknown one).
    """
    to_json(dict(figures or {}))
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and not path.name.startswith("."))
    files = {
        path.relative_to(directory).as_posix(): FileEntry(sha256=sha256_of(path), bytes=path.stat().st_size)
        for path in paths
        if path != directory / MANIFEST
    }
    manifest = Manifest(
        kind=kind,
        name=name,
        command=command,
        run=run,
        commit=commit(),
        versions=versions(),
        parents=dict(parents or {}),
        files=files,
        figures=dict(figures or {}),
        licence=licence,
        notes=notes,
    )
    write_json(directory / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def read_manifest(directory: Path, *, verify: bool | Collection[str] = False) -> Manifest:
    """The manifest of an artefact. With `verify` every file, or those named, is hashed and compared.

    Raises `WorkbenchError` when there is none, it is malformed, or a file is missing or changed.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise WorkbenchError(
            "no-manifest",
            f"{directory.name} is not an artefact",
            f"it has no {MANIFEST}: it was never finished, or it is another kind of folder",
            "Run the command that makes it again.",
        )
    manifest = validated(Manifest, read_json(path, limit=64 * 2**20), what=f"The manifest of {directory.name}")
    wanted = manifest.files if verify is True else (verify or ())
    for name, entry in manifest.files.items():
        if name in wanted:
            _verify(directory, name, entry)
    return manifest


def _verify(directory: Path, name: str, entry: FileEntry) -> None:
    path = directory / PurePosixPath(name)
    if not path.is_file():
        why = f"the file {name} is missing"
    elif path.stat().st_size != entry.bytes:
        why = f"{name} has {path.stat().st_size} bytes where the manifest says {entry.bytes}"
    elif sha256_of(path) != entry.sha256:
        why = f"{name} differs from the hash in the manifest"
    else:
        return
    raise WorkbenchError("damaged", f"{directory.name} is damaged", why, "Copy it again, or make it anew.")


def artefact_path(kind: Kind, name: str) -> Path:
    """Where an artefact of this title belongs in the data folder (the folder need not exist)."""
    return confined(home() / FOLDERS[kind], slug(name))


def parent_of(ref: str, kind: Kind) -> Parent:
    """The `Parent` entry for an artefact that was used as input."""
    path = resolve(ref, kind)
    manifest = path / MANIFEST if path.is_dir() else path
    return Parent(ref=ref, sha256=sha256_of(manifest) if manifest.is_file() else None)


def available(kind: Kind) -> list[str]:
    """Names of all artefacts of a kind: those in the data folder, newest first, then the bundled ones."""
    own = sorted(_entries(home() / FOLDERS[kind]), key=lambda path: path.stat().st_mtime, reverse=True)
    bundled = sorted(_entries(BUNDLED / FOLDERS[kind]))
    return [path.stem if path.suffix == ".json" else path.name for path in own] + [
        f"bundled/{path.stem if path.suffix == '.json' else path.name}" for path in bundled
    ]


def _entries(folder: Path) -> list[Path]:
    """Artefact folders with a manifest, and single-file lever sets."""
    found = list(folder.iterdir()) if folder.is_dir() else []
    return [
        path
        for path in found
        if ((path / MANIFEST).is_file() or (path.suffix == ".json" and path.is_file())) and is_slug(path.name)
    ]


def resolve(ref: str | Path, kind: Kind, *, names_only: bool = False) -> Path:
    """The folder (or lever-set file) that a name stands for.

    Accepts `bundled/<name>` (also `bundled-<name>`), `<name>` in the data folder, a path, and an fsspec URL,
    which is copied to the cache. `names_only` refuses paths and URLs: use it for whatever a browser sends.
    Raises `WorkbenchError` listing what exists when there is no such thing.
    """
    text = str(ref).strip()
    if not names_only and re.match(r"[a-z][a-z0-9+.-]*://", text):
        return _fetched(text, kind)
    for path in _named(text, kind):
        if path.exists():
            return path
    if not names_only:
        path = Path(text).expanduser()
        if (path / MANIFEST).is_file() or (path.is_file() and path.suffix == ".json"):
            return path.resolve()
    known = available(kind)
    shown = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
    raise WorkbenchError(
        "not-found",
        f"There is no {kind} called {text[:80]!r}",
        f"known: {shown}" if known else f"no {kind} exists yet",
        "Use one of the known names, or a path." if known else f"Make a {kind} first.",
    )


def _named(text: str, kind: Kind) -> list[Path]:
    """The places a name may stand for, in order."""
    own, bundled = home() / FOLDERS[kind], BUNDLED / FOLDERS[kind]
    if text.startswith("bundled/"):
        roots, name = [bundled], text.removeprefix("bundled/")
    elif text.startswith("bundled-"):
        roots, name = [bundled], text.removeprefix("bundled-")
        if is_slug(text) and (own / text).exists():
            roots, name = [own], text
    else:
        roots, name = [own], text
    if not is_slug(name):
        return []
    return [confined(root, found) for root in roots for found in (name, f"{name}.json") if len(found) <= 64]


def _fetched(url: str, kind: Kind) -> Path:
    """Copy an artefact from an fsspec URL into the cache: manifest first, every file checked against it."""
    import fsspec

    protocol = url.partition("://")[0]
    if protocol not in _LOCAL and os.environ.get("HF_HUB_OFFLINE", "0").lower() in {"1", "true", "yes", "on"}:
        raise WorkbenchError(
            "offline",
            f"{url} was not fetched",
            "the workbench is offline",
            "Set FULCRUM_OFFLINE=0 to allow it.",
        )
    try:
        files, root = fsspec.core.url_to_fs(url)
        size = files.size(f"{root}/{MANIFEST}")
        if size is not None and size > 64 * 2**20:
            raise ValueError("its manifest is larger than 64 MiB")
        content = files.cat_file(f"{root}/{MANIFEST}")
    except Exception as error:  # every file system raises its own kinds
        raise _not_fetched(url, f"{type(error).__name__}: {error}") from error
    key = hashlib.sha256(url.encode() + b"\0" + content).hexdigest()[:24]
    target = home() / "cache" / "artefacts" / key
    if target.is_dir():
        return target
    with commit_directory(target) as folder:
        (folder / MANIFEST).write_bytes(content)
        manifest = read_manifest(folder)
        if manifest.kind != kind:
            raise _not_fetched(url, f"it is a {manifest.kind}, not a {kind}")
        ensure_space(folder, sum(entry.bytes for entry in manifest.files.values()))
        for name, entry in manifest.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _copy(files, f"{root}/{name}", folder / name, entry.bytes, url)
            _verify(folder, name, entry)
    return target


def _copy(files: Any, source: str, target: Path, limit: int, url: str) -> None:
    """Stream one remote file, never more than the manifest announced."""
    written = 0
    try:
        with files.open(source, "rb") as remote, target.open("xb") as local:
            while chunk := remote.read(2**20):
                written += len(chunk)
                if written > limit:
                    raise ValueError(f"{target.name} is longer than the manifest says")
                local.write(chunk)
    except WorkbenchError:
        raise
    except Exception as error:  # every file system raises its own kinds
        raise _not_fetched(url, f"{type(error).__name__}: {error}") from error


def _not_fetched(url: str, why: str) -> WorkbenchError:
    return WorkbenchError("not-fetched", f"{url} could not be fetched", why, "Check the address and try again.")
