"""What is trained: Σ a(s)·task + Σ b(s)·constraint over one representation.

Every term is a named scalar; every logged term is trained with its logged weight, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel
from torch import Tensor, nn

from probes.configs import NoOptions
from probes.errors import WorkbenchError
from probes.registry import Registry
from probes.training.ranks import ALONE, Ranks

Terms = dict[str, Tensor]
Batch = Mapping[str, Tensor]
Schedule = Callable[[int], float]


class Representation(Protocol):
    """The trained module: it turns a batch of observations into what tasks and constraints look at."""

    def represent(self, batch: Batch) -> Any: ...
    def parameters(self) -> Any: ...
    def state_dict(self) -> dict[str, Tensor]: ...
    def load_state_dict(self, state: Mapping[str, Tensor]) -> Any: ...


class Part:
    """What tasks and constraints share: their options, and the representation they are about.

    `on` names the kind of representation: `autoencoder` or `selection_map`, or one architecture of either kind.
    `holds`: something in it is held fixed or passed straight through, so that its gradient is not its slope.
    """

    Config: type[BaseModel] = NoOptions
    on: str
    holds: bool = False

    def __init__(self, config: Any = None) -> None:
        self.config = self.Config() if config is None else config


class Task(Protocol):
    """What must be preserved. `reads` names the observations of a batch it looks at; returns named scalars."""

    reads: frozenset[str]

    def loss(self, rep: Any, seen: Any, batch: Batch) -> Terms: ...


class Constraint(Protocol):
    """What structure is imposed. Never sees observations, only what `represent` returned, and the
    conditions that `given` names. `certify` measures whether the structure is in fact there.

    One that is part of what tasks see (a sample, a mask, a choice of values) also has `impose(rep, seen)`, which is
    left out while it has no weight.
    """

    given: frozenset[str]

    def penalty(self, rep: Any, seen: Any) -> Terms: ...

    def certify(self, rep: Any, seen: Any) -> dict[str, float]: ...


@dataclass(frozen=True)
class Component:
    """A task or constraint with its weight schedule (step to weight)."""

    name: str
    part: Task | Constraint
    weight: Schedule


def component(registry: Registry, name: str, weight: Schedule, config: BaseModel | None = None) -> Component:
    """A registered task or constraint under its own name, with its options and its weight."""
    return Component(name, registry.load(name)(config), weight)


class ParameterGroup(NamedTuple):
    """Parameters whose gradients are clipped together, and what their learning rate is multiplied by."""

    parameters: list[nn.Parameter]
    rate: float = 1.0


@dataclass(frozen=True)
class Objective:
    """One representation under tasks and constraints; `hooks` keep its invariants around each step."""

    representation: Any
    tasks: Sequence[Component]
    constraints: Sequence[Component] = ()

    def terms(self, batch: Batch, step: int) -> Terms:
        """Weighted terms at a step, one entry per named scalar of each component."""
        seen = self.representation.represent(batch)
        for component in self.constraints:
            if hasattr(component.part, "impose") and component.weight(step):
                seen = component.part.impose(self.representation, seen)
        found: Terms = {}
        for component in self.tasks:
            weight = component.weight(step)
            found |= {n: weight * v for n, v in component.part.loss(self.representation, seen, batch).items()}  # type: ignore[union-attr]
        for component in self.constraints:
            weight = component.weight(step)
            found |= {n: weight * v for n, v in component.part.penalty(self.representation, seen).items()}  # type: ignore[union-attr]
        return found

    def module(self) -> nn.Module:
        module: nn.Module = self.representation
        return module

    def divided(self, ranks: Ranks) -> Objective:
        """The objective as one of several processes trains it.

        The representation says what that is: `divided(ranks)` returns it, or one that has this process's
        share of its parameters; the states of both are whole and fit each other. Raises `WorkbenchError`
        for a representation that only one process can train.
        """
        if ranks.size == 1:
            return self
        if not hasattr(self.representation, "divided"):
            raise WorkbenchError(
                "cannot-divide",
                "Several processes cannot train this",
                f"{type(self.representation).__name__} does not say how it is divided",
                "Train it with one process.",
            )
        return replace(self, representation=self.representation.divided(ranks))

    def groups(self) -> list[ParameterGroup]:
        """The trained parameters by what is clipped together; one group, where the representation names none."""
        if hasattr(self.representation, "groups"):
            return list(self.representation.groups())
        return [ParameterGroup(list(self.module().parameters()))]

    def together_again(self, part: Objective) -> None:
        """Take over what the processes have trained, as one process will go on with it."""
        state = part.representation.state_dict()
        self.representation.divided(ALONE).load_state_dict(state)

    def before_step(self) -> None:
        """After the backward pass, before the optimiser: gradient projections."""
        if hasattr(self.representation, "before_step"):
            self.representation.before_step()

    def after_step(self) -> None:
        """After the optimiser: renormalisation and counters."""
        if hasattr(self.representation, "after_step"):
            self.representation.after_step()

    def project(self) -> None:
        """Put parameters that were written from outside back where they must lie (unit rows, for instance)."""
        if hasattr(self.representation, "project"):
            self.representation.project()

    def gauges(self) -> dict[str, float]:
        """Numbers to watch that are not trained (L0, dead share, explained variance of the last batch)."""
        if hasattr(self.representation, "gauges"):
            return dict(self.representation.gauges())
        return {}
