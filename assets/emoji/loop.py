"""The loop that the emoji networks share: two optimisers, a moving average, a checkpoint to go on from."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from muon import Muon, parted
from torch import Tensor, nn

THREADS = 2
Loss = Callable[[torch.Generator], dict[str, Tensor]]


@dataclass(frozen=True)
class Plan:
    """How one network is trained.

    Both rates rise over `warm_up` steps, stay, and fall linearly to zero over the last `fall` of all steps.
    `rate` is Muon's, for matrices; `vector_rate` Adam's, for vectors and embeddings.
    """

    steps: int
    rate: float = 0.02
    vector_rate: float = 2e-3
    decay: float = 0.0
    warm_up: int = 50
    fall: float = 0.5
    average: float = 0.999
    clip: float = 1.0
    save_every_s: float = 240.0

    def share_at(self, step: int) -> float:
        """The share of its rate an optimiser uses in a step counted from 0."""
        end = (self.steps - step) / (self.fall * self.steps)
        return min(1.0, (step + 1) / self.warm_up, end)


def train(modules: Mapping[str, nn.Module], loss: Loss, plan: Plan, folder: Path) -> dict[str, nn.Module]:
    """Train modules together and return their moving averages; `folder` keeps the checkpoint.

    `loss` is called `THREADS` times a step, once per thread, each with a generator seeded by step and
    thread: a run which was stopped goes on with the batches it would have had. Threads over parts of a
    batch, not inside operations, because on a busy machine every operation would wait for the slower one.
    The terms that `loss` returns are summed, averaged over the parts, and logged.
    """
    matrices, vectors = parted(modules.values())
    weights = [*matrices, *vectors]
    optimisers = (
        Muon(matrices, plan.rate, decay=plan.decay),
        torch.optim.AdamW(vectors, plan.vector_rate, betas=(0.9, 0.99), weight_decay=plan.decay),
    )
    averages = {name: copy.deepcopy(module).requires_grad_(False) for name, module in modules.items()}
    step = _resume(folder, modules, averages, optimisers)
    pool = ThreadPoolExecutor(THREADS)
    logged: dict[str, float] = {}
    saved, started, first = time.monotonic(), time.process_time(), step
    while step < plan.steps:
        for optimiser, rate in zip(optimisers, (plan.rate, plan.vector_rate), strict=True):
            optimiser.param_groups[0]["lr"] = rate * plan.share_at(step)
        parts = [pool.submit(_part, loss, weights, THREADS * step + part) for part in range(THREADS)]
        terms = _add_up(weights, [part.result() for part in parts])
        nn.utils.clip_grad_norm_(weights, plan.clip)
        for optimiser in optimisers:
            optimiser.step()
        step += 1
        _average(modules, averages, min(plan.average, (step + 1) / (step + 10)))
        for name, term in terms.items():
            logged[name] = 0.98 * logged.get(name, term) + 0.02 * term
        if step % 50 == 0:
            spent = (time.process_time() - started) / (step - first)
            said = " ".join(f"{name} {value:.4f}" for name, value in logged.items())
            print(f"{time.strftime('%H:%M:%S')} step {step}/{plan.steps} {said} cpu-s/step {spent:.3f}", flush=True)
            if not math.isfinite(sum(logged.values())):
                raise SystemExit("The loss is not finite.")
        if time.monotonic() - saved > plan.save_every_s or step == plan.steps:
            save(folder, step, modules, averages, optimisers)
            saved = time.monotonic()
    return {name: average.eval() for name, average in averages.items()}


def _part(loss: Loss, weights: list[nn.Parameter], seed: int) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
    """Terms and gradients of one part of a batch."""
    terms = loss(torch.Generator().manual_seed(1_000_003 * seed + 17))
    return terms, torch.autograd.grad(torch.stack(list(terms.values())).sum(), weights)


def _add_up(weights: list[nn.Parameter], parts: list[tuple[dict[str, Tensor], tuple[Tensor, ...]]]) -> dict[str, float]:
    """Set the gradients to the mean over parts, in their order; return the mean terms."""
    for at, weight in enumerate(weights):
        weight.grad = torch.stack([gradients[at] for _, gradients in parts]).mean(0)
    return {name: sum(float(terms[name].detach()) for terms, _ in parts) / len(parts) for name in parts[0][0]}


@torch.no_grad()
def _average(modules: Mapping[str, nn.Module], averages: Mapping[str, nn.Module], kept: float) -> None:
    for name, module in modules.items():
        old, new = list(averages[name].parameters()), list(module.parameters())
        torch._foreach_lerp_(old, new, 1 - kept)


def save(
    folder: Path,
    step: int,
    modules: Mapping[str, nn.Module],
    averages: Mapping[str, nn.Module],
    optimisers: Sequence[torch.optim.Optimizer],
) -> None:
    """Write the checkpoint in one move, so that a stopped process leaves the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "step": step,
        "modules": {name: module.state_dict() for name, module in modules.items()},
        "averages": {name: module.state_dict() for name, module in averages.items()},
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
    }
    torch.save(state, folder / "checkpoint.tmp")
    os.replace(folder / "checkpoint.tmp", folder / "checkpoint.pt")


def _resume(
    folder: Path,
    modules: Mapping[str, nn.Module],
    averages: Mapping[str, nn.Module],
    optimisers: Sequence[torch.optim.Optimizer],
) -> int:
    if not (folder / "checkpoint.pt").is_file():
        return 0
    state = torch.load(folder / "checkpoint.pt", weights_only=True, mmap=False)
    for name in modules:
        modules[name].load_state_dict(state["modules"][name])
        averages[name].load_state_dict(state["averages"][name])
    for optimiser, kept in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(kept)
    return int(state["step"])


def averaged(folder: Path, modules: Mapping[str, nn.Module]) -> int:
    """Load the moving averages of a checkpoint into modules, finished or not. Returns its step."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True, mmap=False)
    for name, module in modules.items():
        module.load_state_dict(state["averages"][name])
        module.eval()
    return int(state["step"])
