"""Pinned npm packages: fetched or taken from a folder, checked by hash, read in a fixed order."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple


class Package(NamedTuple):
    """One pinned npm package; `tarball` is the name `npm pack` gives it."""

    name: str
    version: str
    tarball: str
    sha256: str


def fetch(packages: Iterable[Package], folder: Path) -> None:
    """Download the pinned tarballs into `folder`."""
    for package in packages:
        wanted = f"{package.name}@{package.version}"
        subprocess.run(["npm", "pack", wanted, "--pack-destination", str(folder), "--silent"], check=True)


def opened(package: Package, folder: Path) -> tarfile.TarFile:
    """The package's tarball in `folder`. Exits when it is not the pinned one."""
    source = folder / package.tarball
    if hashlib.sha256(source.read_bytes()).hexdigest() != package.sha256:
        raise SystemExit(f"{package.tarball} is not the pinned {package.name} {package.version}.")
    return tarfile.open(source)


def members(archive: tarfile.TarFile, pattern: str) -> Iterator[tuple[str, bytes]]:
    """The files whose whole path matches, in the order of their paths."""
    for member in sorted(archive.getmembers(), key=lambda member: member.name):
        if member.isfile() and re.fullmatch(pattern, member.name):
            handle = archive.extractfile(member)
            assert handle is not None
            yield member.name, handle.read()


def member(archive: tarfile.TarFile, path: str) -> bytes:
    """The one file of that path."""
    ((_, raw),) = members(archive, re.escape(path))
    return raw
