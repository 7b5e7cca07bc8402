"""Where a result came from: the code's commit and the versions of what it ran on."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = (
    "fulcrum-workbench",
    "torch",
    "transformers",
    "diffusers",
    "safetensors",
    "numpy",
    "scipy",
    "gradio",
)


@cache
def versions() -> dict[str, str]:
    """Version of Python and of each installed package that can change a number. Imports none of them."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def commit() -> str | None:
    """The commit of this checkout, with `+` when it has uncommitted changes; None outside a checkout."""
    if not (ROOT / ".git").exists():
        return None
    head = _git("rev-parse", "HEAD")
    return None if not head else head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def now() -> str:
    """The wall clock in UTC, ISO 8601, to the second: a label, never used to order or to measure."""
    return datetime.now(UTC).isoformat(timespec="seconds")
