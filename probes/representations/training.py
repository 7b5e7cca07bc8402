"""Train one cell: task and constraint on a world's rows, weighed so that both pull equally hard at the start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from probes.representations.cell import Cell, NetworkConfig
from probes.representations.part import LatentConstraint, LatentTask
from probes.representations.representation import LatentModel
from probes.representations.rows import GridRows
from probes.representations.spec import Spec
from probes.training.loop import Progress, train
from probes.training.objective import Component, Objective, Terms
from probes.training.schedules import constant

PROBED = 4  # batches that gradients are compared on
LARGEST_SCALE = 1e4  # a constraint without a gradient yet is not to be blown up for ever


@dataclass(frozen=True)
class Pair:
    """A task, and the constraint beside it where there is one."""

    task: LatentTask
    constraint: LatentConstraint | None

    def model(self, spec: Spec, seed: int, weight: float = 1.0) -> LatentModel:
        """At weight 0 the task's alone, beside what the constraint would train along."""
        constraints = {} if self.constraint is None else {self.constraint.key: self.constraint}
        return LatentModel(spec, {self.task.key: self.task}, constraints, seed, imposed=weight > 0)

    @property
    def told(self) -> dict[str, str]:
        """What of the truth each of the two is told in training, by name, where it is told any."""
        parts = [self.task, *([] if self.constraint is None else [self.constraint])]
        return {part.key: part.told for part in parts if part.told}

    def objective(self, model: LatentModel, weight: float) -> Objective:
        imposed = [] if self.constraint is None else [Component(self.constraint.key, self.constraint, constant(weight))]
        return Objective(model, [Component(self.task.key, self.task, constant(1.0))], imposed)


def trained(
    pair: Pair,
    spec: Spec,
    rows: GridRows,
    cell: Cell,
    config: NetworkConfig,
    scale: float,
    *,
    stop: Callable[[], bool] = lambda: False,
    log: Callable[[int, dict[str, float]], None] = lambda *_: None,
) -> LatentModel | None:
    """The trained model of a cell, or None when asked to stop. A function of its arguments alone."""
    model = pair.model(spec, cell.restart, cell.weight)
    batch_at = rows.batches(config.optimiser.batch, cell.restart)
    progress = Progress(log, stop, lambda *_: None)
    outcome = train(pair.objective(model, cell.weight * scale), batch_at, config.optimiser, progress)
    return model if outcome == "done" else None


def equalising_scale(
    pair: Pair, spec: Spec, rows: GridRows, config: NetworkConfig, warm: Mapping[str, Tensor], seed: int
) -> float:
    """‖∇ task‖ / ‖∇ constraint‖ at the encoder, mean over batches, from the state of `warmed_up`.

    With it a weight of one means the same for every constraint under every task. 1 without a constraint.
    """
    if pair.constraint is None:
        return 1.0
    model = pair.model(spec, seed)
    model.load_state_dict(dict(warm), strict=False)
    batch_at = rows.batches(config.optimiser.batch, seed)
    ratios = [_ratio(pair, model, batch_at(config.scale_after + at)) for at in range(PROBED)]
    return min(LARGEST_SCALE, sum(ratios) / PROBED)


def warmed_up(pair: Pair, spec: Spec, rows: GridRows, config: NetworkConfig, seed: int) -> dict[str, Tensor]:
    """The state after some steps of the task alone."""
    alone = Pair(pair.task, None)
    model = alone.model(spec, seed)
    few = config.optimiser.model_copy(update={"steps": config.scale_after, "schedule": "linear", "decay": 0.0})
    nothing = Progress(lambda *_: None, lambda: False, lambda *_: None)
    train(alone.objective(model, 0.0), rows.batches(few.batch, seed), few, nothing)
    return dict(model.state_dict())


def _ratio(pair: Pair, model: LatentModel, batch: Mapping[str, Tensor]) -> float:
    assert pair.constraint is not None
    seen = pair.constraint.impose(model, model.represent(batch))
    parts = (pair.task.loss(model, seen, batch), pair.constraint.penalty(model, seen))
    task, constraint = (_slope(model, terms) for terms in parts)
    return task / max(constraint, task / LARGEST_SCALE, 1e-12)


def _slope(model: LatentModel, terms: Terms) -> float:
    """Length of the gradient at the encoder, and at the reader of captions."""
    parameters = [p for part in (model.encoder, model.reader) if part is not None for p in part.parameters()]
    total = torch.stack(list(terms.values())).sum()
    found = torch.autograd.grad(total, parameters, retain_graph=True, allow_unused=True)
    return float(torch.stack([g.square().sum() for g in found if g is not None]).sum().sqrt())
