"""Stage one: the dictionary of one level, as an objective for the one loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from pydantic import Field
from torch import Tensor

from probes.activations.rows import MixedRows, RowKind, sample_rows
from probes.activations.store import ActivationStore
from probes.autoencoders.banded import Banded, with_band
from probes.autoencoders.fitting import SAMPLE_ROWS, DictionaryConfig, new_autoencoder, objective_of
from probes.autoencoders.registry import AUTOENCODERS
from probes.autoencoders.topk import TopKOptions
from probes.configs import Frozen, Variant
from probes.training.objective import Objective

if TYPE_CHECKING:
    OnePlace = Variant
else:  # a level has the rows of one place: nothing to predict, and no second site
    OnePlace = AUTOENCODERS.variants(where=lambda found: found.reads == {"x"} and not found.several_sites)


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
    span: int = Field(
        default=1,
        description="Tokens per row; 1 is one row per token. Cells are always rows by themselves.",
        ge=1,
        le=1024,
    )


class LevelConfig(DictionaryConfig, Place):
    """One level: where it reads, what a row is, and its dictionary."""

    autoencoder: OnePlace = Field(default=TopKOptions(), description="Its architecture.")


def rows_for(store: ActivationStore, config: LevelConfig, seed: int, *, share: int = 1) -> MixedRows:
    """The mixed training rows of a level; `share`: how many levels fill a batch together."""
    point, where = store.place_at(config.depth, config.at)
    kind = RowKind.in_store(store, config.span)
    return MixedRows(store, point, kind, batch=config.optimiser.batch // share, seed=seed, where=where)


def trajectory_objective(
    parts: Sequence[MixedRows], config: LevelConfig, seed: int, *, modulates: bool
) -> tuple[Objective, Callable[[int], dict[str, Tensor]]]:
    """One dictionary for several bands of a hook point, and its batches by step: each band's rows in equal share.

    `modulates`: whether the encoder's input is scaled and shifted by band. Raises as `level_objective` does.
    """

    def batch_at(step: int) -> dict[str, Tensor]:
        return {"x": torch.cat([with_band(part.batch_at(step)["x"].float(), at) for at, part in enumerate(parts)])}

    sample = sample_rows(batch_at, SAMPLE_ROWS)
    normalise = Banded(sample.shape[1] - 1, len(parts), modulates=modulates)
    trained = new_autoencoder(config, sample.shape[1] - 1, seed=seed, normalise=normalise)
    trained.begin(sample)
    return objective_of(trained, config), batch_at


def level_objective(rows: MixedRows, config: LevelConfig, seed: int) -> Objective:
    """The cell of the level's architecture, its start measured on a sample of the rows.

    Raises `WorkbenchError` when k does not fit the width or the rows are all equal.
    """
    sample = sample_rows(rows.batch_at, min(SAMPLE_ROWS, rows.n_rows))
    trained = new_autoencoder(config, sample.shape[1], seed=seed)
    trained.begin(sample)
    return objective_of(trained, config)
