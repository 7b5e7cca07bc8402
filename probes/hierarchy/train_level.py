"""Stage one: the dictionary of one level, as an objective for the one loop."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from probes.activations.rows import MixedRows, RowKind, sample_rows
from probes.activations.store import ActivationStore
from probes.autoencoders.autoencoder import TrainableAutoencoder
from probes.autoencoders.registry import AUTOENCODERS
from probes.configs import Frozen
from probes.constraints.registry import CONSTRAINTS
from probes.errors import WorkbenchError
from probes.tasks.reconstruct import ReviveConfig
from probes.tasks.registry import TASKS
from probes.training.loop import OptimiserConfig
from probes.training.objective import Objective, component
from probes.training.schedules import constant


class LevelConfig(Frozen):
    """One level: where it reads, what a row is, and its dictionary."""

    depth: float = Field(default=0.5, description="Hook point, as a fraction of the subject's depth.", ge=0, le=1)
    span: int = Field(default=1, description="Tokens per row; 1 is one row per token.", ge=1, le=1024)
    autoencoder: Annotated[str, AUTOENCODERS] = Field(default="topk", description="Its architecture.")
    n_latents: int = Field(default=4608, description="Latents in the dictionary.", ge=8, le=1_048_576)
    k: int = Field(default=32, description="Active latents per row.", ge=1, le=4096)
    optimiser: OptimiserConfig = Field(default=OptimiserConfig(), description="How it is optimised.")
    revive: ReviveConfig = Field(default=ReviveConfig(), description="How dead latents are revived.")
    dead_after: int = Field(default=50_000, description="Rows without firing after which a latent is dead.", ge=1)


def rows_for(store: ActivationStore, config: LevelConfig, seed: int) -> MixedRows:
    """The mixed training rows of a level."""
    point = store.point_at(config.depth)
    return MixedRows(store, point, RowKind(span=config.span), batch=config.optimiser.batch, seed=seed)


def level_objective(rows: MixedRows, config: LevelConfig, seed: int) -> Objective:
    """Reconstruct + revive under code sparsity; biases start at the geometric median of a sample.

    Raises `WorkbenchError` when k exceeds the width or the rows are all zero.
    """
    if config.k > config.n_latents // 2:
        raise WorkbenchError(
            "bad-config",
            "k is too large",
            f"{config.k} of {config.n_latents} latents",
            "Choose k below half the width.",
        )
    sample = sample_rows(rows.batch_at, min(8192, rows.n_rows))
    scale = _unit_scale(sample)
    trained = new_autoencoder(config, sample.shape[1], seed=seed, scale=scale)
    with torch.no_grad():
        trained.b_dec.copy_(geometric_median(sample * scale))
    return Objective(
        trained,
        [
            component(TASKS, "reconstruct", constant(1.0)),
            component(TASKS, "revive", constant(config.revive.weight), config.revive),
        ],
        [component(CONSTRAINTS, "code_sparsity", constant(1.0))],
    )


def new_autoencoder(config: LevelConfig, d_model: int, *, seed: int = 0, scale: float = 1.0) -> TrainableAutoencoder:
    """An untrained autoencoder of the level's architecture and size."""
    architecture: type[TrainableAutoencoder] = AUTOENCODERS.load(config.autoencoder)
    return architecture(d_model, config.n_latents, config.k, seed=seed, dead_after=config.dead_after, scale=scale)


def _unit_scale(sample: Tensor) -> float:
    """√d / mean ‖x − x̄‖: rows enter the encoder with about unit variance per dimension."""
    spread = float((sample - sample.mean(dim=0)).norm(dim=1).mean())
    if spread == 0:
        raise WorkbenchError("no-variance", "All rows are equal", "there is nothing to learn", "Capture other text.")
    return float(sample.shape[1] ** 0.5 / spread)


def geometric_median(rows: Tensor, steps: int = 32) -> Tensor:
    """The point with the smallest summed distance to rows `row d` (Weiszfeld, distances floored)."""
    guess = rows.mean(dim=0)
    for _ in range(steps):
        weight = 1 / (rows - guess).norm(dim=1).clamp_min(1e-6)
        guess = (rows * weight[:, None]).sum(dim=0) / weight.sum()
    return guess
