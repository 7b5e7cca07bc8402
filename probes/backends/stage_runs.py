"""Train the stages of a recipe inside a run, one after the other; a finished one is kept there and never repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from probes.backends.backend import Stage
from probes.devices import Device, device_named
from probes.files import commit_directory
from probes.runs import Run
from probes.tensors import load_tensors, save_tensors
from probes.training.loop import Progress, train
from probes.training.ranks import ranks_for
from probes.training.trainee import only_within_rounding

WEIGHTS = "weights.safetensors"


def trained_in(
    run: Run, name: str, stage_of: Callable[[], Stage], offset: int, device: Device, *, said: str
) -> dict[str, Tensor] | None:
    """The state of a finished stage, from the run where it was kept; None when asked to stop before its end.

    `offset`: steps of the stages before; `said`: what is trained, in words.
    """
    folder = run.path / "levels" / name
    return load_tensors(folder / WEIGHTS) if folder.is_dir() else _train_stage(stage_of(), offset, run, device, said)


def _train_stage(stage: Stage, offset: int, run: Run, device: Device, said: str) -> dict[str, Tensor] | None:
    """Train one stage to the end and keep its weights in the run; None when asked to stop before."""
    ranks = ranks_for(stage.optimiser.shards, stage.optimiser.batch)
    stage = stage.on(device_named(device if ranks.size == 1 else "cpu"))
    name, resume = stage.name, None
    checkpoint = run.latest_checkpoint()
    if checkpoint is not None and checkpoint.state.get("stage") == name:
        tensors = {part: checkpoint.tensors(part) for part in checkpoint.groups}
        resume = (int(checkpoint.state["stage_step"]), tensors, checkpoint.state)
    differs = "" if resume is None else only_within_rounding(resume[2], ranks)
    run.update(message=f"training {said}: {stage.rows:,} rows{differs}")
    progress = _StageProgress(run, name, offset).progress()
    outcome = train(stage.objective, stage.batch_at, stage.optimiser, progress, resume, ranks)
    if outcome == "stopped":
        return None
    state = {key: value.detach().cpu().contiguous() for key, value in stage.objective.module().state_dict().items()}
    if run.follows:
        return state
    with commit_directory(run.path / "levels" / name) as folder:
        save_tensors(folder / WEIGHTS, state)
    return state


@dataclass(frozen=True)
class _StageProgress:
    """Reports one level's training inside the run: steps are counted over all levels."""

    run: Run
    name: str
    offset: int

    def progress(self) -> Progress:
        return Progress(self._log, self.run.stop_requested, self._save)

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(self.offset + step, **{f"{self.name}.{key}": value for key, value in values.items()})

    def _save(self, step: int, tensors: dict[str, dict[str, Tensor]], state: dict[str, Any]) -> None:
        self.run.save_checkpoint(self.offset + step, tensors, {**state, "stage": self.name, "stage_step": step})
