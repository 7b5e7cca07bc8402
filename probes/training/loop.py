"""The one training loop. It sees an objective, batches by step, and a run directory; nothing more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from probes.configs import Frozen
from probes.errors import WorkbenchError
from probes.training.objective import Batch, Objective
from probes.training.schedules import warm_up_hold_decay

Outcome = Literal["done", "stopped"]


class OptimiserConfig(Frozen):
    """Adam with warm-up, a constant stretch and a linear decay."""

    steps: int = Field(default=2000, description="Optimiser steps.", ge=1, le=10_000_000)
    batch: int = Field(default=2048, description="Rows per step.", ge=1, le=1_048_576)
    learning_rate: float = Field(default=2e-3, description="Peak learning rate.", gt=0, le=1)
    warm_up: float = Field(default=0.05, description="Share of steps with a rising rate.", ge=0, le=1)
    decay: float = Field(default=0.3, description="Share of steps, at the end, with a falling rate.", ge=0, le=1)
    clip_norm: float = Field(default=1.0, description="Largest gradient norm; larger ones are scaled down.", gt=0)
    log_every: int = Field(default=20, description="Steps between logged values.", ge=1)
    checkpoint_every: int = Field(default=500, description="Steps between checkpoints.", ge=1)


@dataclass
class Progress:
    """Where the loop reports: values per step, whether to stop, and checkpoints. A run implements it."""

    log: Callable[[int, dict[str, float]], None]
    stop_requested: Callable[[], bool]
    save: Callable[[int, dict[str, dict[str, Tensor]], dict[str, Any]], None]


NON_FINITE_LIMIT = 10


def train(
    objective: Objective,
    batch_at: Callable[[int], Batch],
    config: OptimiserConfig,
    progress: Progress,
    resume: tuple[int, dict[str, dict[str, Tensor]], dict[str, Any]] | None = None,
) -> Outcome:
    """Train to `config.steps`, or stop cleanly with a checkpoint when asked to.

    Batches and all randomness are functions of (seed, step), so a resumed run repeats the uninterrupted
    one bit for bit; the state is the parameters and buffers, the optimiser's moments and the step.
    Raises `WorkbenchError` after ten steps in a row whose gradient is not finite.
    """
    module = objective.module()
    optimiser = torch.optim.Adam(
        [p for p in module.parameters() if p.requires_grad], lr=config.learning_rate, fused=True
    )
    rate = warm_up_hold_decay(config.steps, config.warm_up, config.decay)
    start, skipped = 0, 0
    if resume is not None:
        start, tensors, state = resume
        module.load_state_dict(tensors["model"])
        _load_moments(optimiser, tensors.get("optimiser", {}))
        skipped = int(state["skipped"])
    for step in range(start, config.steps):
        if progress.stop_requested():
            progress.save(step, _state_of(module, optimiser), {"skipped": skipped})
            return "stopped"
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * rate(step)
        terms = objective.terms(batch_at(step), step)
        optimiser.zero_grad(set_to_none=True)
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()
        objective.before_step()
        norm = torch.nn.utils.clip_grad_norm_(module.parameters(), config.clip_norm)
        if bool(torch.isfinite(norm)) and bool(torch.isfinite(loss)):
            optimiser.step()
            objective.after_step()
            skipped = 0
        else:
            skipped += 1
            if skipped >= NON_FINITE_LIMIT:
                raise WorkbenchError(
                    "non-finite-loss",
                    f"Training stopped at step {step}",
                    f"the gradient was not finite {skipped} steps in a row",
                    "Lower the learning rate; the last checkpoint is intact.",
                )
        if (step + 1) % config.log_every == 0 or step + 1 == config.steps:
            values = {name: float(value.detach()) for name, value in terms.items()}
            progress.log(step + 1, {"loss": float(loss.detach()), **values, **objective.gauges()})
        if ((step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps) and skipped == 0:
            progress.save(step + 1, _state_of(module, optimiser), {"skipped": skipped})
    return "done"


def _state_of(module: torch.nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]]:
    moments: dict[str, Tensor] = {}
    for number, values in optimiser.state_dict()["state"].items():
        moments |= {f"{number}.{name}": torch.as_tensor(value) for name, value in values.items()}
    return {
        "model": {k: v.detach().contiguous() for k, v in module.state_dict().items()},
        "optimiser": moments,
    }


def _load_moments(optimiser: torch.optim.Optimizer, moments: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
