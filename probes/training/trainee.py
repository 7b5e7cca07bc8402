"""One objective in training: a step, its values, its state. The loop and a sweep drive it alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from probes.errors import WorkbenchError
from probes.training.averages import Average
from probes.training.objective import Batch, Objective, Terms
from probes.training.ranks import ALONE, Ranks, divided_like, full
from probes.training.registry import RATES

if TYPE_CHECKING:
    from probes.training.loop import OptimiserConfig

NON_FINITE_LIMIT = 10


class Trainee:
    """An objective with its optimiser, its running average and how many steps in a row were skipped.

    Of several processes each has one; all of them call every method, at the same point.
    """

    def __init__(self, objective: Objective, config: OptimiserConfig, ranks: Ranks = ALONE) -> None:
        self._whole, self.config, self._ranks = objective, config, ranks
        self.objective = objective.divided(ranks)
        self.module = self.objective.module()
        self._groups = self.objective.groups()
        trained = [[p for p in group.parameters if p.requires_grad] for group in self._groups]
        groups = [{"params": parameters} for parameters in trained]
        self._optimiser = torch.optim.Adam(groups, lr=config.learning_rate, fused=True)
        self._rate = RATES.load(config.schedule)(config.steps, config.warm_up, config.decay)
        self._average = Average(self.module, config.average) if config.average else None
        self._skipped = 0
        self._seen: tuple[Tensor, Terms] | None = None

    @property
    def sound(self) -> bool:
        """Whether the last step was taken: its loss and gradient were finite."""
        return self._skipped == 0

    def step(self, batch: Batch, step: int) -> None:
        """One step. A loss or gradient that is not finite changes nothing and is counted.

        Raises `WorkbenchError` after ten such steps in a row.
        """
        for group, own in zip(self._optimiser.param_groups, self._groups, strict=True):
            group["lr"] = self.config.learning_rate * self._rate(step) * own.rate
        terms = self._terms(batch, step)
        self._optimiser.zero_grad(set_to_none=True)
        loss = torch.stack(list(terms.values())).sum()
        loss.backward()
        self._ranks.rows.average_gradients(self.module.parameters())
        self.objective.before_step()
        clip = torch.nn.utils.clip_grad_norm_
        norms = [full(clip(group.parameters, self.config.clip_norm)) for group in self._groups]
        self._seen = (loss, terms)
        if not all(bool(torch.isfinite(number)) for number in (*norms, loss)):
            return self._skip(step)
        self._optimiser.step()
        self.objective.after_step()
        if self._average is not None:
            self._average.update(self.module, step)
        self._skipped = 0
        return None

    def _terms(self, batch: Batch, step: int) -> Terms:
        if self.config.precision == "float32":
            return self.objective.terms(batch, step)
        # Autocast narrows matrix products only: parameters, their gradients and all sums stay float32.
        device = next(self.module.parameters()).device.type
        with torch.autocast(device, dtype=torch.bfloat16):
            return self.objective.terms(batch, step)

    def _skip(self, step: int) -> None:
        self._skipped += 1
        if self._skipped >= NON_FINITE_LIMIT:
            raise WorkbenchError(
                "non-finite-loss",
                f"Training stopped at step {step}",
                f"the gradient was not finite {self._skipped} steps in a row",
                "Lower the learning rate; the last checkpoint is intact.",
            )

    def values(self) -> dict[str, float]:
        """What is logged of the last step: the loss, its terms as they were trained, and the gauges."""
        assert self._seen is not None
        loss, terms = self._seen
        found = {name: float(value.detach()) for name, value in terms.items()}
        return {"loss": float(loss.detach()), **found, **self.objective.gauges()}

    def state(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """(tensors by group, plain values): all that is not a function of the config and the step.

        Tensors are whole, however many processes share them: any number of processes can go on from them.
        """
        moments: dict[str, Tensor] = {}
        for number, values in self._optimiser.state_dict()["state"].items():
            moments |= {f"{number}.{name}": full(torch.as_tensor(value)) for name, value in values.items()}
        model = {name: value.detach().contiguous() for name, value in self.module.state_dict().items()}
        tensors = {"model": model, "optimiser": moments}
        if self._average is not None:
            tensors["average"] = {name: full(value) for name, value in self._average.values.items()}
        return tensors, {"skipped": self._skipped, **_circumstances(self._ranks)}

    def load(self, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.module.load_state_dict(dict(tensors["model"]))
        moments: dict[int, dict[str, Tensor]] = {}
        parameters = [p for group in self._optimiser.param_groups for p in group["params"]]
        for key, value in tensors["optimiser"].items():
            number, _, name = key.partition(".")
            own = divided_like(value, parameters[int(number)]) if value.ndim else value
            moments.setdefault(int(number), {})[name] = own
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": moments, "param_groups": groups})
        if self._average is not None:
            self._average.load(tensors["average"])
        self._skipped = int(state["skipped"])

    def finish(self) -> None:
        """Leave in the module what is to be kept."""
        if self._average is not None:
            self._average.install(self.module)
            self.objective.project()
        if self._ranks.size > 1:
            self._whole.together_again(self.objective)


def _circumstances(ranks: Ranks) -> dict[str, int]:
    """What the last bits of a result depend on beside config and step."""
    return {"processes": ranks.size, "threads": torch.get_num_threads()}


def only_within_rounding(state: Mapping[str, Any], ranks: Ranks = ALONE) -> str:
    """What to say where training goes on from a state of other circumstances; nothing where they are the same."""
    other = [f"{state[name]} {name}" for name, now in _circumstances(ranks).items() if state.get(name, now) != now]
    return f"; begun with {' and '.join(other)}, so the same within rounding only" if other else ""
