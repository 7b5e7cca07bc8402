"""The one training loop. It sees an objective, batches by step, and a run directory; nothing more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.training.objective import Batch, Objective
from probes.training.ranks import ALONE, Ranks
from probes.training.registry import RATES
from probes.training.trainee import Trainee

Outcome = Literal["done", "stopped"]


class OptimiserConfig(Frozen):
    """Adam with warm-up, a constant stretch and a decay."""

    steps: int = Field(default=2000, description="Optimiser steps.", ge=1, le=10_000_000)
    batch: int = Field(default=2048, description="Rows per step.", ge=1, le=1_048_576)
    learning_rate: float = Field(default=2e-3, description="Peak learning rate.", gt=0, le=1)
    schedule: Annotated[str, RATES] = Field(default="linear", description="How the learning rate goes.")
    warm_up: float = Field(default=0.05, description="Share of steps with a rising rate.", ge=0, le=1)
    decay: float = Field(default=0.3, description="Share of steps, at the end, with a falling rate.", ge=0, le=1)
    clip_norm: float = Field(default=1.0, description="Largest gradient norm; larger ones are scaled down.", gt=0)
    average: float = Field(
        default=0.0,
        description="Decay of a running average of the parameters, which then is what is kept; 0 is none.",
        ge=0,
        lt=1,
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Number type of matrix products; weights and moments stay float32."
    )
    shards: int = Field(
        default=1,
        description="Of several processes, so many divide the parameters; the others divide the rows of a batch.",
        ge=1,
        le=4096,
    )
    log_every: int = Field(default=20, description="Steps between logged values.", ge=1)
    checkpoint_every: int = Field(default=500, description="Steps between checkpoints.", ge=1)


@dataclass
class Progress:
    """Where the loop reports: values per step, whether to stop, and checkpoints. A run implements it."""

    log: Callable[[int, dict[str, float]], None]
    stop_requested: Callable[[], bool]
    save: Callable[[int, dict[str, dict[str, Tensor]], dict[str, Any]], None]


def train(
    objective: Objective,
    batch_at: Callable[[int], Batch],
    config: OptimiserConfig,
    progress: Progress,
    resume: tuple[int, dict[str, dict[str, Tensor]], dict[str, Any]] | None = None,
    ranks: Ranks = ALONE,
) -> Outcome:
    """Train to `config.steps`, or stop cleanly with a checkpoint when asked to.

    Batches and all randomness are functions of (seed, step), so a resumed run repeats the uninterrupted
    one bit for bit; the state is the parameters and buffers, the optimiser's moments, the running average
    where there is one, and the step. Once done, the module holds what is to be kept (the average, where
    there is one). Raises `WorkbenchError` after ten steps in a row whose gradient is not finite.

    Of several processes (`ranks`) each calls this alike, with the same global batches; progress is reported
    by all and written by the first. They end as one process would, within rounding.
    """
    trainee = Trainee(objective, config, ranks)
    start = 0
    if resume is not None:
        start, tensors, state = resume
        trainee.load(tensors, state)
    if ranks.agreed(start) != start:
        raise WorkbenchError(
            "ranks-apart",
            "The processes cannot go on together",
            f"one starts at step {start}, the first at another",
            "Let all of them see the same data folder.",
        )
    for step in range(start, config.steps):
        if ranks.agreed(progress.stop_requested()):
            progress.save(step, *trainee.state())
            return "stopped"
        trainee.step(batch_at(step), step)
        last = step + 1 == config.steps
        if last or (step + 1) % config.log_every == 0:
            progress.log(step + 1, trainee.values())
        if trainee.sound and (last or (step + 1) % config.checkpoint_every == 0):
            progress.save(step + 1, *trainee.state())
    trainee.finish()
    return "done"
