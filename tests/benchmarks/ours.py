"""This project's trainer, as its recipes run it, and the two references it is held against."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from probes.autoencoders.topk import TopKAutoencoder
from probes.constraints.registry import CONSTRAINTS
from probes.kernels.choice import prefer
from probes.tasks.reconstruct import ReviveConfig
from probes.tasks.registry import TASKS
from probes.training.loop import OptimiserConfig, Progress, train
from probes.training.objective import Batch, Objective, Terms, component
from probes.training.schedules import constant
from tests.benchmarks import encoding
from tests.benchmarks.channel import Channel
from tests.benchmarks.setting import Setting, unexplained

FOREVER = 10_000_000


class Narrow(Objective):
    """An objective whose matrix products are bfloat16."""

    def terms(self, batch: Batch, step: int) -> Terms:
        with torch.autocast("cpu", torch.bfloat16):
            return super().terms(batch, step)


def ours(setting: Setting, channel: Channel, *, narrow: bool = False, compiled: bool = True) -> None:
    """The one training loop over reconstruct + revive."""
    prefer("compiled" if compiled else "torch")
    model = TopKAutoencoder(setting.d, setting.n, setting.k, seed=0, dead_after=FOREVER)
    with torch.no_grad():
        model.w_enc.copy_(setting.rows())
        model.w_dec.copy_(setting.rows())
        model.b_enc.copy_(setting.bias())
    dead = setting.dead_latents()

    def mark() -> None:
        model.since_fired[dead] = FOREVER

    def figures() -> dict[str, float]:
        with torch.no_grad():
            seen = model.represent({"x": channel.batches[-1]})
        return {"unexplained": unexplained(seen.x, seen.decoded)}

    channel.mark, channel.figures = mark, figures
    revive = ReviveConfig()
    objective = (Narrow if narrow else Objective)(
        model,
        [
            component(TASKS, "reconstruct", constant(1.0)),
            component(TASKS, "revive", constant(revive.weight), revive),
        ],
        [component(CONSTRAINTS, "code_sparsity", constant(1.0))],
    )
    config = OptimiserConfig(
        steps=FOREVER,
        batch=setting.batch,
        learning_rate=setting.rate,
        warm_up=0,
        decay=0,
        log_every=FOREVER,
        checkpoint_every=FOREVER,
    )
    quiet = Progress(lambda step, values: None, lambda: False, lambda step, tensors, state: None)
    train(objective, lambda step: {"x": next(channel)}, config, quiet)


def dense(setting: Setting, channel: Channel) -> None:
    """Dense autograd with Adam and nothing else: what the sparse step must agree with.

    Rounding alone moves a training: after 120 steps of the loss race, this reference with the fused and with the
    plain implementation of Adam differ by 0.08 %. So it takes the one that ours takes.
    """
    rows, bias = setting.rows(), setting.bias()
    parameters = [part.requires_grad_() for part in (rows.clone(), bias, rows.clone(), torch.zeros(setting.d))]
    w_enc, b_enc, w_dec, b_dec = parameters
    optimiser = torch.optim.Adam(parameters, lr=setting.rate, fused=True)

    def decode(x: Tensor) -> Tensor:
        top = ((x - b_dec) @ w_enc.T + b_enc).topk(setting.k, dim=1)
        return torch.zeros(len(x), setting.n).scatter(1, top.indices, top.values.relu()) @ w_dec + b_dec

    def figures() -> dict[str, float]:
        with torch.no_grad():
            return {"unexplained": unexplained(channel.batches[-1], decode(channel.batches[-1]))}

    channel.figures = figures
    for x in channel:
        optimiser.zero_grad()
        loss = (x - decode(x)).square().sum() / (x - x.mean(dim=0)).square().sum()
        loss.backward()
        assert w_dec.grad is not None
        with torch.no_grad():
            w_dec.grad -= (w_dec.grad * w_dec).sum(dim=1, keepdim=True) * w_dec
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            w_dec /= w_dec.norm(dim=1, keepdim=True) + torch.finfo(torch.float32).eps


def limit(setting: Setting, channel: Channel, *, kind: torch.dtype) -> None:
    """The encoder's forward product alone, the one that no exact method avoids."""
    weights = setting.rows().to(kind)
    out = torch.empty(512, setting.n, dtype=kind)
    for x in channel:
        rows = x.to(kind)
        for at in range(0, len(rows), len(out)):
            torch.mm(rows[at : at + len(out)], weights.T, out=out[: len(rows) - at])


TRAINERS = {
    "ours": ours,
    "ours bf16": partial(ours, narrow=True),
    "ours torch only": partial(ours, compiled=False),
    "ours torch only bf16": partial(ours, compiled=False, narrow=True),
    "encode ours": encoding.ours,
    "encode ours f32": partial(encoding.ours, narrow=False),
    "dense": dense,
    "limit f32": partial(limit, kind=torch.float32),
    "limit bf16": partial(limit, kind=torch.bfloat16),
}
