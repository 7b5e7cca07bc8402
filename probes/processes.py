"""Is that process still the same process? A pid alone does not say: pids are reused."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def start_of(pid: int) -> float | None:
    """When a process started, or None when it is gone (a zombie counts as gone).

    On Linux this is in clock ticks since boot, which a change of the wall clock does not move;
    elsewhere it is psutil's creation time in hundredths of a second. Always a whole number.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (OSError, UnicodeDecodeError):
            return None
        return None if fields[0] in "ZX" else float(fields[19])
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(round(process.create_time() * 100))
    except psutil.Error:
        return None


def alive(pid: int | None, started: float | None) -> bool:
    """Whether `pid` lives and is the process that started at `started`."""
    return pid is not None and started is not None and start_of(pid) == started


def me() -> dict[str, int | float | str | None]:
    """This process, as it is written into status files: pid, pid_start, host."""
    return {"pid": os.getpid(), "pid_start": start_of(os.getpid()), "host": socket.gethostname()}
