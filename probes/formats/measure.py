"""A dictionary of others measured on our own store: scale, statistics, figures, and whether it behaves as stated.

A number of active latents more than twice off what its makers say means that the place, the scale or the
text is not the one the dictionary was made for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from probes.activations.places import Places
from probes.activations.rows import RowKind, calibration_rows, shard_rows
from probes.activations.store import EVERYWHERE, ActivationStore
from probes.addresses import HookPoint, Selector
from probes.autoencoders.dictionary import Dictionary
from probes.errors import WorkbenchError
from probes.formats.imported import Imported, dictionary_of
from probes.formats.normalisations import MeanNorm, behind_gain
from probes.hierarchy.measure_level import with_statistics
from probes.hierarchy.probe import Level, LevelRecord
from probes.metrics.moments import Moments
from probes.metrics.reconstruction import held_out_figures

CALIBRATION_ROWS = 8192
FACTOR = 2.0
OF_CODES = ("rows", "l0", "dead", "rare")
Sparsity = Literal["refuse", "calibrate", "keep"]


def measured_level(
    store: ActivationStore,
    name: str,
    found: Imported,
    point: HookPoint,
    writes: HookPoint | None,
    *,
    where: Selector = EVERYWHERE,
    gain: tuple[Tensor, Tensor] | None = None,
    sparsity: Sparsity = "refuse",
    source: str = "",
) -> tuple[Level, list[str]]:
    """The level with statistics and held-out figures, and what a reader must know of it.

    `where`: the part of a run whose rows it is measured on; `gain`: gain and bias of the norm at the point, for a
    dictionary that reads rows before them.
    Raises `WorkbenchError` when the point was not captured or has another width, and, under `refuse`, when
    the number of active latents is more than twice off what `found.l0` says.
    """
    info = store.info(point)
    if info.d_model != found.w_enc.shape[1]:
        raise WorkbenchError(
            "wrong-width",
            f"The dictionary for level {name} does not fit {point}",
            f"it reads {found.w_enc.shape[1]} dimensions, and there are {info.d_model}",
            "Choose the dictionary's own model, or its own place with --point.",
        )
    notes = [_origin(name, found, source), *found.notes]
    kind = RowKind.in_store(store, 1)
    sample = partial(calibration_rows, store, Places(point, where), kind, CALIBRATION_ROWS)
    space = _space(sample, name, found, point, writes, notes)
    space = space if gain is None else behind_gain(space, *gain)
    record = LevelRecord(
        name=name, point=info, rows=kind, where=where, n_latents=space.n_latents, k=1, writes=space.writes
    )
    level = _with_figures(store, record, space)
    l0, declared = level.record.figures["l0"], found.l0
    if declared and not declared / FACTOR <= l0 <= declared * FACTOR:
        said = f"{l0:.1f} latents are active per row, and its makers say {declared:g}"
        if sparsity == "refuse":
            raise WorkbenchError(
                "wrong-sparsity",
                f"The dictionary for level {name} does not behave as its makers say",
                said,
                "Check subject, place and text; or take it with --sparsity keep, or calibrate.",
            )
        if sparsity == "calibrate":
            level = _with_figures(store, record, space.calibrated(sample(), declared))
            notes.append(f"Its threshold was calibrated here: before, {said}.")
        else:
            notes.append(f"Kept although {said}.")
    record = level.record.model_copy(update={"k": declared or max(level.record.figures["l0"], 1e-6)})
    return replace(level, record=record), notes


def _origin(name: str, found: Imported, source: str) -> str:
    """Where a dictionary comes from, in one sentence."""
    model = f" for {found.model}" if found.model else ""
    hashes = ", ".join(f"{file} {value[:12]}" for file, value in found.hashes.items())
    return f"Level {name}: {found.format} dictionary{model}, rule {found.rule}, from {source} (SHA-256 of {hashes})."


def _space(
    sample: Callable[[], Tensor],
    name: str,
    found: Imported,
    point: HookPoint,
    writes: HookPoint | None,
    notes: list[str],
) -> Dictionary:
    """The dictionary at its point; a mean norm that its file leaves open is measured on a `sample` of the store."""
    norm = None
    if isinstance(found.normalisation, MeanNorm):
        norm = float(sample().norm(dim=1).mean())
        notes.append(f"Its files leave its scale open: the mean norm {norm:.4g} of this store was taken.")
    return dictionary_of(found, name, point, writes, mean_norm=norm)


def _with_figures(store: ActivationStore, record: LevelRecord, space: Dictionary) -> Level:
    """The level of a dictionary, its statistics measured on training rows and its figures on held-out ones."""
    level = with_statistics(store, record, space)
    return replace(level, record=record.model_copy(update={"figures": _figures(store, level)}))


def _figures(store: ActivationStore, level: Level) -> dict[str, float]:
    """Held-out figures; where the place a transcoder writes to was not captured, of its codes alone."""
    writes = level.record.writes
    if writes is None or any(info.point == writes for info in store.index.points):
        return held_out_figures(store, level)
    moments = Moments(torch.zeros(level.space.w_dec.shape[1]), level.space.n_latents)
    for shard in store.shards("held_out"):
        x, usable = shard_rows(store, shard, level.places, level.rows)
        rows = x[usable].float()
        codes = level.space.encode(rows)
        decoded = level.space.reconstruct(rows, codes)
        moments.add(decoded, decoded, codes.index, codes.value)
    found = moments.figures()
    return {name: found[name] for name in OF_CODES}
