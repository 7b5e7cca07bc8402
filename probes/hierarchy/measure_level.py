"""A trained level, made ready: folded, calibrated, and measured on rows it was not trained on."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from probes.activations.rows import RowKind, calibration_rows
from probes.activations.store import ActivationStore
from probes.autoencoders.banded import Banded
from probes.autoencoders.dictionary import Dictionary
from probes.autoencoders.fitting import finished
from probes.errors import WorkbenchError
from probes.hierarchy.probe import Level, LevelRecord
from probes.hierarchy.statistics import latent_statistics, noise_profile, training_history
from probes.hierarchy.train_level import LevelConfig, level_autoencoder, places_of
from probes.metrics.reconstruction import held_out_figures
from probes.metrics.seed_agreement import nearest_rows

CALIBRATION_ROWS = 32_768


def measured_level(
    store: ActivationStore, name: str, config: LevelConfig, state: dict[str, Tensor], band: int | None = None
) -> Level:
    """Fold, round, calibrate on rows kept from training, measure statistics and held-out figures. `band`: which one
    it is of a dictionary that was trained on several."""
    places = places_of(store, config)
    normalise = None
    if band is not None:
        bands, width = state["normalise.mean"].shape
        normalise = Banded(width, bands, modulates="normalise.gain" in state)
    module = level_autoencoder(store, config, normalise=normalise)
    module.load_state_dict(state)
    kind = RowKind.in_store(store, config.span)
    sample = calibration_rows(store, places, kind, CALIBRATION_ROWS)
    space = finished(module, config, sample, places.point, name, writes=places.target, band=band)
    k = config.k if module.aims_at_k() else max(float(space.encode(sample).l0().float().mean()), 1e-6)
    record = LevelRecord(
        name=name,
        point=store.info(places.point),
        beside=tuple(store.info(one) for one in places.beside),
        rows=kind,
        where=places.where,
        n_latents=space.n_latents,
        k=k,
        writes=places.target,
    )
    level = with_statistics(store, record, space)
    level = replace(level, statistics={**level.statistics, **training_history(state)})
    return replace(level, record=record.model_copy(update={"figures": held_out_figures(store, level)}))


def with_statistics(store: ActivationStore, record: LevelRecord, space: Dictionary) -> Level:
    """The level of a dictionary, its latents' statistics and typical sizes measured on training text."""
    level = Level(record, space, {})
    statistics = latent_statistics(store, "train", level)
    if store.index.bands:
        statistics["profile"] = noise_profile(store, "train", level)
    table = replace(space.table, typical=statistics["typical"], frequency=statistics["frequency"])
    return replace(level, space=space.with_table(table), statistics=statistics)


def compared(level: Level, *others: Level) -> Level:
    """With each latent's best decoder cosine in the same level of other seeds, averaged over them, and the mean
    as a figure. Raises `WorkbenchError` when another level lies elsewhere."""
    for other in others:
        if other.address != level.address:
            raise WorkbenchError(
                "other-place",
                f"The level {level.name} has no counterpart in the other probe",
                f"it lies at {level.address}, the other one at {other.address}",
                "Name a probe trained on the same store with another seed.",
            )
    found = [nearest_rows(level.space.w_dec, other.space.w_dec)[0] for other in others]
    agreement = torch.stack(found).mean(dim=0)
    figures = {**level.record.figures, "seed_agreement": float(agreement.mean())}
    record = level.record.model_copy(update={"figures": figures})
    return replace(level, record=record, statistics={**level.statistics, "seed_agreement": agreement})
