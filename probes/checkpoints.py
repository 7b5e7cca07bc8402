"""Checkpoints: a folder of safetensors and JSON whose manifest is written last and hashes every file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from probes.artefacts import FileEntry
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.files import commit_directory, confined, ensure_space, read_json, sha256_of, write_json
from probes.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from torch import Tensor


class CheckpointManifest(Frozen):
    """`MANIFEST.json` of a checkpoint."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    step: int = Field(ge=0, description="Steps done when it was saved.")
    metrics_bytes: int = Field(ge=0, description="Length of the metrics log when it was saved.")
    files: dict[str, FileEntry] = Field(description="File name to hash and size.")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files have been verified."""

    path: Path
    step: int
    state: dict[str, Any]
    metrics_bytes: int

    @property
    def groups(self) -> list[str]:
        """Names under which tensors were saved."""
        return sorted(path.stem for path in self.path.glob("*.safetensors"))

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors saved under one file name, on the CPU."""
        return load_tensors(self.path / f"{name}.safetensors")


def saved_steps(folder: Path) -> list[int]:
    """The steps of all committed checkpoints in a folder, newest first (not verified)."""
    names = (re.fullmatch(r"ckpt-(\d{8,})", path.name) for path in folder.glob("ckpt-*") if path.is_dir())
    return sorted((int(match[1]) for match in names if match), reverse=True)


def write_checkpoint(
    folder: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    state: Mapping[str, Any],
    *,
    metrics_bytes: int,
) -> Path:
    """Save a checkpoint in one step; nothing is visible under its name until all of it is on disk."""
    needed = sum(t.numel() * t.element_size() for group in tensors.values() for t in group.values())
    folder.mkdir(parents=True, exist_ok=True)
    ensure_space(folder, needed + 2**20)
    target = folder / f"ckpt-{step:08d}"
    with commit_directory(target, replace=True) as temporary:
        for name, group in tensors.items():
            save_tensors(confined(temporary, f"{name}.safetensors"), group)
        write_json(temporary / "state.json", dict(state))
        files = {
            path.name: FileEntry(sha256=sha256_of(path), bytes=path.stat().st_size)
            for path in sorted(temporary.iterdir())
        }
        manifest = CheckpointManifest(step=step, metrics_bytes=metrics_bytes, files=files)
        write_json(temporary / "MANIFEST.json", manifest.model_dump(mode="json"))
    return target


def read_checkpoint(path: Path) -> Checkpoint:
    """Open a checkpoint and verify every file. Raises `WorkbenchError` when one is missing or changed."""
    what = f"The manifest of {path.name}"
    manifest = validated(CheckpointManifest, read_json(path / "MANIFEST.json"), what=what)
    for name, entry in manifest.files.items():
        file = confined(path, name)
        if not file.is_file() or file.stat().st_size != entry.bytes or sha256_of(file) != entry.sha256:
            raise WorkbenchError(
                "damaged-checkpoint",
                f"{path.name} is damaged",
                f"{name} is missing or changed",
                "Use an earlier one.",
            )
    return Checkpoint(path, manifest.step, read_json(path / "state.json"), manifest.metrics_bytes)
