"""Stage one: the dictionary of one level, as an objective for the one loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from pydantic import Field, model_validator
from torch import Tensor

from probes.activations.places import Places
from probes.activations.rows import MixedRows, RowKind, sample_rows
from probes.activations.store import ActivationStore
from probes.addresses import HookPoint
from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.banded import Banded, with_band
from probes.autoencoders.fitting import SAMPLE_ROWS, DictionaryConfig, new_autoencoder, objective_of
from probes.autoencoders.normalisation import Normalisation
from probes.autoencoders.registry import AUTOENCODERS
from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.refusals import Unfit
from probes.training.objective import Objective


class Place(Frozen):
    """Where a level reads, and what a row is."""

    at: str = Field(
        default="",
        description="Hook point, with a noise interval where there is one, such as "
        "up_blocks.1.attentions.1:update@noise=0.3-0.6. Empty: by depth.",
        max_length=200,
    )
    depth: float = Field(
        default=0.5,
        description="Hook point, as a fraction of the subject's depth; for images a noise, whose band is read.",
        ge=0,
        le=1,
    )
    reads: tuple[str, ...] = Field(
        default=(),
        description="Instead of at: the hook points a row is made of, side by side, each written as in at; a "
        "crosscoder reads several.",
        max_length=64,
    )
    predicts: str = Field(
        default="",
        description="Hook point whose rows are predicted from those that are read, at the same noise; a transcoder "
        "needs one.",
        max_length=200,
    )
    span: int = Field(
        default=1,
        description="Tokens per row; 1 is one row per token. Cells are always rows by themselves.",
        ge=1,
        le=1024,
    )


class LevelConfig(DictionaryConfig, Place):
    """One level: where it reads, what a row is, and its dictionary."""

    @model_validator(mode="after")
    def _fits(self) -> LevelConfig:
        """The architecture has the places it needs, and no others; and these are named once."""
        if self.at and self.reads:
            raise Unfit("reads", "at says already where it reads: leave one of the two empty")
        kind = self.autoencoder.kind
        made: type[TrainableAutoencoder] = AUTOENCODERS.load(kind)
        if "target" in made.reads and not self.predicts:
            raise Unfit("predicts", f"it is empty, and a {kind} predicts another hook point: name it here")
        if self.predicts and "target" not in made.reads:
            raise Unfit("predicts", f"a {kind} predicts no other hook point: leave it empty, or choose a transcoder")
        if made.several_sites and len(self.reads) < 2:
            raise Unfit("reads", f"a {kind} reads several hook points at once: name them here")
        if len(self.reads) > 1 and not made.several_sites:
            raise Unfit("reads", f"a {kind} reads one hook point: name one, or choose a crosscoder")
        return self


def placed(level: LevelConfig, other: Place) -> LevelConfig:
    """A level that reads where another one does."""
    return level.model_copy(update={name: getattr(other, name) for name in Place.model_fields})


def places_of(store: ActivationStore, config: Place) -> Places:
    """Where a level reads and what it predicts. Raises `WorkbenchError` for what was not captured, and for hook
    points whose rows are not those of one another."""
    read = [store.place_at(config.depth, address) for address in config.reads or (config.at,)]
    (point, where), *others = read
    target = HookPoint.parse(config.predicts) if config.predicts else None
    places = Places(point, where, tuple(other for other, _ in others), target)
    if len(set(places.every)) < len(places.every):
        raise _no_pairs(places, "a hook point is named twice", "Name each hook point once.")
    if any(other != where for _, other in others):
        raise _no_pairs(places, "they are read at different noise", "Write the same noise interval after each of them.")
    if len({store.info(one).grid for one in places.every}) > 1:
        raise _no_pairs(places, "the grids of these hook points differ", "Choose hook points of one grid.")
    return places


def _no_pairs(places: Places, why: str, remedy: str) -> WorkbenchError:
    return WorkbenchError("unlike-places", f"The rows at {places} cannot be paired", why, remedy)


def rows_for(store: ActivationStore, config: LevelConfig, seed: int, *, share: int = 1) -> MixedRows:
    """The mixed training rows of a level; `share`: how many levels fill a batch together."""
    kind, batch = RowKind.in_store(store, config.span), config.optimiser.batch // share
    return MixedRows(store, places_of(store, config), kind, batch=batch, seed=seed)


def level_autoencoder(
    store: ActivationStore, config: LevelConfig, *, seed: int = 0, normalise: Normalisation | None = None
) -> TrainableAutoencoder:
    """The untrained autoencoder of a level, as wide as the rows of its places."""
    places = places_of(store, config)
    sites = tuple(store.info(one).d_model for one in places.read)
    d_out = None if places.target is None else store.info(places.target).d_model
    several = sites if places.beside else ()
    return new_autoencoder(config, sum(sites), seed=seed, d_out=d_out, sites=several, normalise=normalise)


def trajectory_objective(
    parts: Sequence[MixedRows], config: LevelConfig, seed: int, *, modulates: bool
) -> tuple[Objective, Callable[[int], dict[str, Tensor]]]:
    """One dictionary for several bands of a hook point, and its batches by step: each band's rows in equal share.

    `modulates`: whether the encoder's input is scaled and shifted by band. Raises as `level_objective` does.
    """

    def batch_at(step: int) -> dict[str, Tensor]:
        return {"x": torch.cat([with_band(part.batch_at(step)["x"].float(), at) for at, part in enumerate(parts)])}

    sample = sample_rows(batch_at, SAMPLE_ROWS)["x"]
    normalise = Banded(sample.shape[1] - 1, len(parts), modulates=modulates)
    trained = new_autoencoder(config, sample.shape[1] - 1, seed=seed, normalise=normalise)
    trained.begin(sample)
    return objective_of(trained, config), batch_at


def level_objective(rows: MixedRows, config: LevelConfig, seed: int) -> Objective:
    """The cell of the level's architecture, its start measured on a sample of the rows.

    Raises `WorkbenchError` when k does not fit the width or the rows are all equal.
    """
    sample = sample_rows(rows.batch_at, min(SAMPLE_ROWS, rows.n_rows))
    trained = level_autoencoder(rows.store, config, seed=seed)
    trained.begin(sample["x"], sample.get("target"))
    return objective_of(trained, config)
