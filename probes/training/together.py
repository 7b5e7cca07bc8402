"""Several objectives trained on one stream: each batch is read once and steps every one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from probes.errors import WorkbenchError
from probes.training.loop import Outcome, Progress
from probes.training.objective import Batch
from probes.training.trainee import Trainee


@dataclass
class Member:
    """One of them: what its values are logged under, the seconds its steps took, and why it was given up."""

    label: str
    trainee: Trainee
    seconds: float = 0.0
    failed: str = ""

    def takes_part(self, step: int) -> bool:
        """Whether it still has a step to do."""
        return not self.failed and step < self.trainee.config.steps

    def step(self, batch: Batch, step: int) -> None:
        """One step, timed. One that diverges is given up; the others go on."""
        begun = time.monotonic()
        try:
            self.trainee.step(batch, step)
        except WorkbenchError as error:
            if error.code != "non-finite-loss":
                raise
            self.failed = f"given up at step {step}: {error.why}"
        self.seconds += time.monotonic() - begun


def train_together(
    members: Sequence[Member],
    batch_at: Callable[[int], Batch],
    progress: Progress,
    *,
    log_every: int,
    checkpoint_every: int,
    resume: tuple[int, Mapping[str, Mapping[str, Tensor]], Mapping[str, Any]] | None = None,
) -> Outcome:
    """Train every member to its own number of steps, or stop cleanly with one checkpoint of all.

    A member ends exactly as it would have ended alone on the same batches. Values are logged as
    `<label>.<name>`. Once done, each module holds what is to be kept.
    """
    steps = max(member.trainee.config.steps for member in members)
    start = 0
    if resume is not None:
        start, tensors, state = resume
        _load(members, tensors, state)
    for step in range(start, steps):
        if progress.stop_requested():
            progress.save(step, *_state(members))
            return "stopped"
        batch = batch_at(step)
        stepped = [member for member in members if member.takes_part(step)]
        for member in stepped:
            member.step(batch, step)
        last = step + 1 == steps
        if last or (step + 1) % log_every == 0:
            values = [(member.label, member.trainee.values()) for member in stepped]
            progress.log(step + 1, {f"{label}.{name}": v for label, part in values for name, v in part.items()})
        if last or (step + 1) % checkpoint_every == 0:
            progress.save(step + 1, *_state(members))
    for member in members:
        member.trainee.finish()
    return "done"


def _state(members: Sequence[Member]) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """One state of all: groups of tensors are named `<number>.<group>`."""
    tensors: dict[str, dict[str, Tensor]] = {}
    states: list[dict[str, Any]] = []
    for number, member in enumerate(members):
        groups, state = member.trainee.state()
        tensors |= {f"{number}.{name}": group for name, group in groups.items()}
        states.append({"state": state, "seconds": member.seconds, "failed": member.failed})
    return tensors, {"members": states}


def _load(members: Sequence[Member], tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
    for number, (member, saved) in enumerate(zip(members, state["members"], strict=True)):
        own = {name.removeprefix(f"{number}."): g for name, g in tensors.items() if name.startswith(f"{number}.")}
        member.trainee.load(own, saved["state"])
        member.seconds, member.failed = float(saved["seconds"]), str(saved["failed"])
