"""Being the one process at work in a folder, and noticing when it is no longer the folder that was taken.

Two things are held. A kernel lock on a file in the folder: everyone who can reach the folder sees it, and it is free
the moment its holder dies; but who deletes the folder deletes the file, and a new file has a lock of its own. So the
folder's path is claimed too, as a name that the kernel keeps for this process and no deletion takes away (Linux).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
import struct
import sys
import time
from pathlib import Path

_ENDING_SECONDS = 1.0  # a dying process lets go of its lock and of its claim one after the other


class PathTakenError(Exception):
    """Somebody at work holds the path, though not the folder that is there now."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"process {'unknown' if pid is None else pid}")
        self.pid = pid


class FolderLock:
    """The lock of a folder. Raises `FileNotFoundError` where there is no such folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._claim: socket.socket | None = None
        self._handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)

    def taken(self) -> bool:
        """Take it, unless somebody has it. Raises `PathTakenError` when somebody still works in a folder that was
        here before this one."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        end = time.monotonic() + _ENDING_SECONDS
        while True:
            try:
                self._claim = _claimed(self._folder)
                return True
            except PathTakenError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def holds(self) -> bool:
        """Whether the folder is still there and still the one that was taken."""
        try:
            return os.path.samestat(os.fstat(self._handle), os.stat(self._folder / "lock"))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def release(self) -> None:
        """Let go of whatever was taken."""
        if self._claim is not None:
            self._claim.close()
        os.close(self._handle)


def _claimed(folder: Path) -> socket.socket | None:
    """A socket whose name stands for the path of a folder. None where the system has no names without files."""
    if sys.platform != "linux":
        return None
    name = b"\0fulcrum-" + hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:48].encode()
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(name)
        claim.listen()
    except OSError as error:
        claim.close()
        if error.errno == errno.EADDRINUSE:
            raise PathTakenError(_listener(name)) from None
        return None
    return claim


def _listener(name: bytes) -> int | None:
    """The process that holds a claimed name, when it can be asked."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setblocking(False)
        try:
            asking.connect(name)
            pid, _, _ = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except OSError:
            return None
    return int(pid) or None
