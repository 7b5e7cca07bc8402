"""A representation as an artefact: a folder that opens without the run that trained it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from probes.artefacts import Parent, artefact_path, read_manifest, resolve, write_manifest
from probes.configs import Frozen, validated
from probes.errors import WorkbenchError
from probes.files import commit_directory, read_json, write_json
from probes.latents import LatentTable
from probes.representations.grid import Outcome
from probes.representations.measured import LATENTS_FILE, LatentsFile, measured_latents, read_latents, write_latents
from probes.representations.opening import OpenedCell
from probes.representations.recipe import Recipe
from probes.representations.scoring import Score
from probes.representations.space import RepresentationSpace
from probes.tensors import save_tensors

RECORD_FILE, WEIGHTS_FILE = "representation.json", "weights.safetensors"
FILES = (RECORD_FILE, WEIGHTS_FILE, LATENTS_FILE)
HEADLINES = frozenset({"mcc", "r2"})
ALIKE = 1e-3  # of a latent's deviation: what other machines' arithmetic may change


class RepresentationFile(Frozen):
    """The file representation.json."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    recipe: Recipe = Field(description="What makes its world and its networks again.")
    scale: float = Field(description="What its weight was multiplied with, so that both gradients are equally long.")
    score: Score = Field(description="Its numbers on held-out rows, some of them against the truth of the world.")


@dataclass(frozen=True)
class Representation:
    """A representation, opened. `measured`: its latents on held-out rows, as they were when it was kept."""

    ref: str
    file: RepresentationFile
    opened: OpenedCell
    measured: LatentsFile

    @property
    def space(self) -> RepresentationSpace:
        """Its latents as a latent space that reads; take it `around` rows to write."""
        codes = self.opened.codes
        table = LatentTable(
            names=tuple(latent.name for latent in self.measured.latents),
            typical=torch.tensor([latent.deviation for latent in self.measured.latents]),
            frequency=torch.from_numpy((codes != 0).mean(axis=0)).float(),
        )
        return RepresentationSpace(self.opened.model, table, f"The representation {self.ref}")

    @property
    def still(self) -> list[int]:
        """Latents that do not vary."""
        return [at for at, latent in enumerate(self.measured.latents) if latent.still]


def save_representation(
    opened: OpenedCell,
    outcome: Outcome,
    name: str,
    *,
    command: str = "",
    run: str = "",
    parents: Mapping[str, Parent] | None = None,
) -> Path:
    """Keep an opened cell under a name; returns the folder. Raises `WorkbenchError` where the name is taken."""
    target = artefact_path("representation", name)
    file = RepresentationFile(recipe=opened.recipe, scale=outcome.scale, score=outcome.score)
    with commit_directory(target) as folder:
        write_json(folder / RECORD_FILE, file.model_dump(mode="json"))
        save_tensors(folder / WEIGHTS_FILE, opened.model.state_dict())
        write_latents(folder, measured_latents(opened.codes))
        figures = {key: value for key, value in outcome.score.values.items() if key in HEADLINES}
        write_manifest(
            folder, kind="representation", name=name, command=command, run=run, parents=parents, figures=figures
        )
    return target


def open_representation(ref: str, *, names_only: bool = False) -> Representation:
    """A representation by name or path. Raises `WorkbenchError` for one that is damaged, of another kind, or whose
    world is no longer the one it was kept with."""
    folder = resolve(ref, "representation", names_only=names_only)
    what = f"The representation {folder.name}"
    manifest = read_manifest(folder, verify=FILES)
    if manifest.kind != "representation":
        raise _unusable(what, f"field kind of its manifest is {manifest.kind!r}", "Name a representation.")
    if missing := [name for name in FILES if name not in manifest.files]:
        raise _unusable(what, f"field files of its manifest lacks {missing[0]}", "Copy it again, or keep it anew.")
    file = validated(RepresentationFile, read_json(folder / RECORD_FILE, limit=2**26), what=what)
    opened, measured = OpenedCell(file.recipe, folder / WEIGHTS_FILE), read_latents(folder)
    _refuse_another_world(what, opened, measured)
    return Representation(ref, file, opened, measured)


def _refuse_another_world(what: str, opened: OpenedCell, measured: LatentsFile) -> None:
    """A world is made again from its config: were it made otherwise, every row and every number would silently be of
    something else."""
    kept = np.array([[latent.mean, latent.deviation] for latent in measured.latents])
    if kept.shape[0] != opened.codes.shape[1]:
        why = f"field latents lists {kept.shape[0]} latents and its network has {opened.codes.shape[1]}"
        raise _unusable(what, why, "Copy it again, or keep it anew.")
    now = np.stack([opened.codes.mean(axis=0), opened.spread], axis=1)
    if (np.abs(now - kept) > ALIKE * np.maximum(kept[:, 1:], 1e-3)).any():
        why = "its held-out rows, made again from its field world, are not those it was kept with"
        raise _unusable(what, why, "Open it with the version of the code that kept it, or train it again.")


def _unusable(what: str, why: str, how: str) -> WorkbenchError:
    return WorkbenchError("bad-representation", f"{what} is not usable", why, how)
