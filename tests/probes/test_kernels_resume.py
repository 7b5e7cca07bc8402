"""On any kernels and in any precision a training cut anywhere goes on bit for bit: nothing carried is left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from probes.autoencoders.topk import TopKAutoencoder
from probes.kernels.choice import Choice, prefer
from probes.tasks.reconstruct import ReviveConfig
from probes.tasks.registry import TASKS
from probes.training.loop import OptimiserConfig, Progress, train
from probes.training.objective import Objective, component
from probes.training.randomness import generator
from probes.training.schedules import constant
from tests.benchmarks.ours import Narrow

STEPS = 24


@pytest.fixture(autouse=True)
def _auto() -> Iterator[None]:
    yield
    prefer("auto")


def batch_at(step: int) -> dict[str, Tensor]:
    directions = torch.randn(24, 16, generator=generator(0, "world"))
    draw = generator(1, "batch", step)
    return {"x": (torch.rand(128, 24, generator=draw) < 0.12) * torch.rand(128, 24, generator=draw) @ directions}


def trained(narrow: bool, *, stop_at: int | None = None, resume: Any = None, seed: int = 0) -> tuple[Any, list[Any]]:
    model = TopKAutoencoder(16, 192, 4, seed=seed, dead_after=500)
    revive = component(TASKS, "revive", constant(1 / 32), ReviveConfig(k=8, every=2))
    objective = (Narrow if narrow else Objective)(model, [component(TASKS, "reconstruct", constant(1.0)), revive])
    saved: list[Any] = []
    asked = iter(range(10_000))
    progress = Progress(
        lambda step, values: None,
        lambda: next(asked) == stop_at,
        lambda step, tensors, state: saved.append((step, _copied(tensors), state)),
    )
    config = OptimiserConfig(steps=STEPS, batch=128, learning_rate=1e-2, warm_up=0.5)
    train(objective, batch_at, config, progress, resume)
    return model, saved


def _copied(tensors: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    return {part: {name: value.clone() for name, value in group.items()} for part, group in tensors.items()}


@pytest.mark.parametrize("which", ["torch", "compiled"])
@pytest.mark.parametrize("narrow", [False, True])
def test_a_training_cut_in_its_warm_up_goes_on_bit_for_bit(which: Choice, narrow: bool) -> None:
    prefer(which)
    whole, _ = trained(narrow)
    part, saved = trained(narrow, stop_at=9)
    assert saved[-1][0] == 9 and bool(part.dead().any())
    resumed, _ = trained(narrow, resume=saved[-1], seed=5)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize("narrow", [False, True])
def test_both_kernels_train_the_same_dictionary(narrow: bool) -> None:
    """Sums in another order drift apart slowly, near ties fastest; what is left unexplained agrees."""
    left = {}
    for which, precise in (("torch", True), ("compiled", not narrow)):
        prefer(which)  # type: ignore[arg-type]
        model, _ = trained(not precise)
        with torch.no_grad():
            seen = model.represent(batch_at(999))
        left[which] = float((seen.x - seen.decoded).square().sum() / seen.x.square().sum())
    assert left["compiled"] == pytest.approx(left["torch"], rel=1e-2)
    assert left["torch"] < 0.9
